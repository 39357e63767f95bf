-- reschedule: give waiting tasks another time, or another place in their line.
--
-- reads:   at_ms, user; a count and tasks: id, queue, claim number seen, 'f' front, 'b' back or
--          due_ms
-- replies: one text per task: 'done', 'changed', 'absent', or '!'state it is in
-- moves:   scheduled -> scheduled, scheduled -> queued, queued -> scheduled, queued -> queued

local function reschedule(one, at, ringed)
  local r = one.r
  if not r.exists then return 'absent' end
  if r.s ~= 'scheduled' and r.s ~= 'queued' then return '!' .. r.s end
  if int(r.c) ~= one.c then return 'changed' end
  V.leave_waiting(r, one.q)
  r.c, r.n = r.c + 1, 0
  local due = tonumber(one.to)
  if due and due > now() then
    r.s = 'scheduled'
    call('ZADD', DUE, one.to, r.id .. ',' .. one.q .. ',' .. int(r.a) .. ',' .. int(r.c))
    V.add_scheduled(V.extra(r.u, one.q), 1)
    V.write(r, at, ',"due":' .. one.to, '', '')
  else
    r.s = 'queued'
    V.wait_in(r, one.q, one.to ~= 'f', ringed)
    V.write(r, at, '', '', '')
  end
  return 'done'
end

function V.reschedule(take)
  local at, user = take(), take()
  local list = V.named(take, user, function(one) one.c, one.to = take(), take() end)
  local answers, ringed = {}, {}
  for i = 1, #list do answers[i] = reschedule(list[i], at, ringed) end
  V.wake_for(ringed)
  return answers
end
