#!/usr/bin/env bash
# Guess: importing nbformat takes a moment, whatever else is installed.
# Seen (nbformat 5.11.1, jsonschema 4.26.0, rfc3987-syntax 1.1.0): it compiles 39 grammars of web addresses first, more
#   than a second in every process. nbformat imports jsonschema, which imports rfc3987-syntax where it is installed;
#   Jupyter's server asks for it.
# Who meets it: anybody who starts a process for each notebook.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" nbformat==5.11.1 'jsonschema[format-nongpl]==4.26.0' \
  rfc3987-syntax==1.1.0 lark==1.3.1 <<'PY'
import lark

compiled = []
start = lark.Lark.__init__


def counted(self, *args, **options):
    compiled.append(options.get("start"))
    start(self, *args, **options)


lark.Lark.__init__ = counted
import nbformat

print("nbformat", nbformat.__version__, "compiled", len(compiled), "grammars")
assert len(compiled) == 39
PY
