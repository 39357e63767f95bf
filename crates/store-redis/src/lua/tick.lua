-- tick: a schedule goes on, and its task is accepted, in one step or not at all. The task is that of
-- `submit`, which asks here.
--
-- reads:   user, name, version seen, next_ms or '', the whole as it is kept
-- replies: one text instead of verdicts where somebody else took it on: 'changed' or 'absent'
-- moves:   nothing

function V.read_tick(take)
  return { u = take(), name = take(), seen = take(), next_ms = take(), kept = take() }
end

-- Why a tick is not to be taken, if it is not.
function V.refuse_tick(tick)
  local known = V.known_schedule(tick.u, tick.name)
  if not known then return 'absent' end
  if known ~= tick.seen then return 'changed' end
end

-- `verdict` is that on its task, if there is one. Where the line is full, or the tasks hold too much, the
-- tick is not over.
function V.take_tick(tick, verdict)
  if verdict ~= 'f' and verdict ~= 'b' then V.keep_schedule(tick.u, tick.name, tick.next_ms, tick.kept) end
end
