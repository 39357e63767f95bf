-- attempt: the history of attempts that ended without ending their task.
--
-- reads:   nothing of its own
-- replies: nothing
-- moves:   nothing

-- Adds an ended attempt to the history, numbered on from the last.
function V.add_attempt(r, json)
  local name = r.U .. 'a:' .. r.t
  local last = call('LINDEX', name, -1)
  local number = (last and tonumber(string.match(last, '^%d+')) or 0) + 1
  if call('RPUSH', name, int(number) .. '|' .. json) > ATTEMPTS_KEPT_MAX then
    call('LTRIM', name, -ATTEMPTS_KEPT_MAX, -1)
  end
end
