#!/usr/bin/env bash
# Guess: in a table, a bar inside code has to be written \| in pandoc's Markdown too, and is shown as a bar.
# Seen (pandoc 3.9 of pypandoc-binary 1.17): the two dialects are each other's opposite. GitHub's (-f gfm) shows \| as a
# bar, and a bare bar ends the cell in the middle of the code. Pandoc's own shows \| with its backslash, and takes a bare
# bar as part of the code.
# Who meets it: anybody whose tables hold shell commands or a choice of values, and are read by both.
exec "$(dirname "${BASH_SOURCE[0]}")/fresh" pypandoc-binary==1.17 <<'PY'
import pypandoc

assert str(pypandoc.get_pandoc_version()) == "3.9", pypandoc.get_pandoc_version()
seen = {}
for form in ("gfm", "markdown"):
    for bar in (r"\|", "|"):
        table = f"| a | b |\n|---|---|\n| `x {bar} y` | 1 |\n"
        page = pypandoc.convert_text(table, "html", format=form)
        seen[form, bar] = page.partition("<tbody>")[2].partition("<td>")[2].partition("</td>")[0]
        print(f"{form}, bar written {bar}: first cell {seen[form, bar]}")
assert seen == {
    ("gfm", r"\|"): "<code>x | y</code>",
    ("gfm", "|"): "`x",
    ("markdown", r"\|"): r"<code>x \| y</code>",
    ("markdown", "|"): "<code>x | y</code>",
}
PY
