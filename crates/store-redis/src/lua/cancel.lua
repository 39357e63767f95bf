-- cancel: stop tasks: waiting ones at once, running ones by asking their holder.
--
-- reads:   at_ms, user, state members, keep_s; a count and tasks: id, queue
-- replies: one text per task: 'done', 'asked', 'absent', or '!'state it is in
-- moves:   scheduled -> cancelled, queued -> cancelled

local function cancel(r, queue, at, body, keep, ended)
  if not r.exists then return 'absent' end
  if V.is_ended(r) then return '!' .. r.s end
  if r.s == 'running' then
    V.ask_to_stop(r, queue, at)
    return 'asked'
  end
  V.leave_waiting(r, queue)
  V.stop_waiting(r, queue, body, keep, ended)
  return 'done'
end

function V.cancel(take)
  local at, user, body, keep = take(), take(), take(), take()
  local list, answers, ended = V.named(take, user), {}, { order = {} }
  for i = 1, #list do
    answers[i] = cancel(list[i].r, list[i].q, at, body, keep, ended)
  end
  V.list_ended(ended)
  return answers
end
