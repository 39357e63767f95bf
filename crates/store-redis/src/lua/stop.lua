-- stop: ask the holder of a running task to stop.
--
-- reads:   nothing of its own
-- replies: nothing
-- moves:   nothing; the holder does

-- It is asked once; asked again it has been asked.
function V.ask_to_stop(r, queue, at)
  if call('SADD', CANCELS, r.id) == 0 then return end
  M.cx = M.cx + 1
  local token = queue .. '|' .. r.u .. '|' .. r.t .. '|' .. int(r.a) .. '|' .. int(r.c) .. '|' .. V.holder(r)
  -- If it is lost, the holder's next report tells it.
  call('SPUBLISH', N.wake(match(V.holder(r), '^[^.]*')), 'c' .. token)
  V.emit(r.u, '{"t":"' .. r.t .. '","x":"cancel_requested","at":' .. at .. '}')
end

-- Asks who holds a serial key to stop, if it runs.
function V.stop_holder(user, key, at)
  local head = call('ZRANGE', N.line(user, key), 0, 0, 'WITHSCORES')
  if head[2] ~= '-inf' then return end
  local task, queue = string.match(head[1], '^([^,]+),([^,]+)')
  local r = V.record(user, task)
  V.want(r)
  V.fetch()
  if r.s == 'running' then V.ask_to_stop(r, queue, at) end
end
