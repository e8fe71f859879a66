-- A line break inside a cell: Markdown has no sign for it, so the export puts U+E000 where <br> stood.
local mark = "\u{E000}"

function Str(word)
  local inlines, rest = pandoc.Inlines {}, word.text
  while rest:find(mark, 1, true) do
    local first, last = rest:find(mark, 1, true)
    inlines:insert(pandoc.Str(rest:sub(1, first - 1)))
    inlines:insert(pandoc.LineBreak())
    rest = rest:sub(last + 1)
  end
  inlines:insert(pandoc.Str(rest))
  return inlines
end
