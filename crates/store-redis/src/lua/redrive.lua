-- redrive: send dead letters and cancelled tasks back to their queue, attempts counted anew.
--
-- reads:   at_ms, user; a count and tasks: id, queue, claim number seen, '' or '='attempt,
--          the most bytes where none is set of the user, '' or '='descriptor from now on, what lists
--          find it by then, event members
-- replies: one text per task: 'done', 'changed', 'absent', '-bytes_full', or '!'state it is in
-- moves:   dead -> queued, cancelled -> queued, dead -> waiting, cancelled -> waiting

local function redrive(one, at, ringed)
  local r = one.r
  if not r.exists then return 'absent' end
  if r.s ~= 'dead' and r.s ~= 'cancelled' then return '!' .. r.s end
  if int(r.c) ~= one.c then return 'changed' end
  local d = one.d ~= '' and string.sub(one.d, 2)
  if d and not V.may_rewrite(r, d, one.room) then return '-bytes_full' end
  local pending = V.wait_again(r, at)
  if not pending then return '!' .. r.s end
  if one.attempt ~= '' then V.add_attempt(r, string.sub(one.attempt, 2)) end
  if d then
    V.rewrite(r, d)
    V.index_again(r, one.e)
  end
  r.c, r.n, r.a = r.c + 1, 0, 1
  if pending > 0 then
    r.s = 'waiting'
    V.add_scheduled(V.extra(r.u, one.q), 1)
    V.write(r, at, ',"on":' .. int(pending), '', one.event)
  else
    r.s = 'queued'
    V.wait_in(r, one.q, true, ringed)
    V.write(r, at, '', '', one.event)
  end
  return 'done'
end

function V.redrive(take)
  local at, user = take(), take()
  local list = V.named(take, user, function(one)
    one.c, one.attempt, one.room, one.d, one.e = take(), take(), read(take()), take(), take()
    one.event = take()
  end)
  V.want_ties(list)
  local answers, ringed = {}, {}
  for i = 1, #list do answers[i] = redrive(list[i], at, ringed) end
  V.wake_for(ringed)
  return answers
end
