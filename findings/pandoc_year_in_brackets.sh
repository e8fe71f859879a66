#!/usr/bin/env bash
# Guess: a line that begins with a year in brackets is an ordinary paragraph, in pandoc's Markdown as in GitHub's.
# Seen (pandoc 3.9 of pypandoc-binary 1.17): "(2026) results rose" becomes a list that starts at 2026. With -f gfm it is
# a paragraph.
# Who meets it: anybody who turns notes or citations in Markdown into Word or PDF.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" pypandoc-binary==1.17 <<'PY'
import pypandoc

assert str(pypandoc.get_pandoc_version()) == "3.9", pypandoc.get_pandoc_version()
text = "(2026) results rose"
pages = {form: pypandoc.convert_text(text, "html", format=form).strip() for form in ("markdown", "gfm")}
for form, page in pages.items():
    print(f"{form}:", " ".join(page.split()))
assert 'start="2026"' in pages["markdown"]
assert pages["gfm"] == f"<p>{text}</p>"
PY
