-- stop: ask the holder of a running task to stop.
--
-- reads:   nothing of its own
-- replies: nothing
-- moves:   nothing; the holder does

-- It is asked once; asked again it has been asked.
function V.ask_to_stop(r, queue, at)
  if call('SADD', CANCELS, r.id) == 0 then return end
  M.cx = M.cx + 1
  local token = queue .. '|' .. r.u .. '|' .. r.t .. '|' .. int(r.a) .. '|' .. int(r.c) .. '|' .. (r.w or '')
  -- If it is lost, the holder's next report tells it.
  call('SPUBLISH', N.wake(string.match(r.w or '', '^[^.]*')), 'c' .. token)
  V.emit(r.u, '{"t":"' .. r.t .. '","x":"cancel_requested","at":' .. at .. '}')
end
