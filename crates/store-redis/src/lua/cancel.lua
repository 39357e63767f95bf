-- cancel: stop tasks: waiting ones at once, running ones by asking their holder.
--
-- reads:   at_ms, user, state members, keep_s; a count and tasks: id, queue
-- replies: one text per task: 'done', 'asked', 'absent', or '!'state it is in
-- moves:   scheduled -> cancelled, queued -> cancelled

-- A reference to a task that waits stays in its lane, dead. Who cancels and submits again, while
-- nobody claims, must not grow the lane for ever: then it is taken out.
local function leave_lane(r, queue)
  local x = V.extra(r.u, queue)
  local name = N.lane(r.u, queue)
  V.add_dead(x, 1)
  local length = call('LLEN', name)
  if x.dead > 2 * (length - x.dead) + LANE_DEAD_MAX then
    local removed = call('LREM', name, 1, V.entry(r.t, r.a, r.c))
    V.add_dead(x, -removed)
    if removed == length then
      call('LREM', N.ring(queue), 1, r.u)
      call('HDEL', N.credit(queue), r.u)
    end
  end
end

local function cancel(r, queue, at, body, keep, ended)
  if not r.exists then return 'absent' end
  if V.is_ended(r) then return '!' .. r.s end
  if r.s == 'running' then
    if call('SADD', CANCELS, r.id) == 1 then
      M.cx = M.cx + 1
      local token = queue .. '|' .. r.u .. '|' .. r.t .. '|' .. int(r.a) .. '|' .. int(r.c) .. '|' .. (r.w or '')
      -- If it is lost, the holder's next report tells it.
      call('SPUBLISH', N.wake(string.match(r.w or '', '^[^.]*')), 'c' .. token)
      V.emit(r.u, '{"t":"' .. r.t .. '","x":"cancel_requested","at":' .. at .. '}')
    end
    return 'asked'
  end
  if r.s == 'scheduled' then
    call('ZREM', DUE, r.id .. ',' .. queue .. ',' .. int(r.a) .. ',' .. int(r.c))
    V.add_scheduled(V.extra(r.u, queue), -1)
  else
    leave_lane(r, queue)
  end
  r.s, r.n = 'cancelled', V.counted(r.n, r.n + 1)
  V.add_ended(ended, keep, r, r.c)
  V.write(r, int(now()), '', body, body)
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
