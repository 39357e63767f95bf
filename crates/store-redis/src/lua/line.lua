-- line: tasks of one serial key, which run one at a time and in order.
--
-- reads:   meta field sk, whether there are any; a user's ZSET w:<key> of `task,queue`: whose turn it is stands at -inf, the others wait
--          behind it in their order
-- replies: nothing
-- moves:   nothing; it is where queued tasks stand until it is their turn
--
-- Who waits here is in no lane; the lane counts it as it counts what is scheduled. A line is settled
-- once per call, when all else is done.

local touched, known
each_call(function() touched, known = {}, {} end)

function V.touch_line(r)
  local name = N.line(r.u, r.sk)
  if not known[name] then
    known[name] = true
    touched[#touched + 1] = { user = r.u, name = name }
  end
end

local function whole(score) return int(tonumber(score)) end

-- Puts a queued task at an end of the line of its key.
function V.enter_line(r, queue, back)
  local name = N.line(r.u, r.sk)
  local place = 0
  if back then
    local last = call('ZRANGE', name, 0, 0, 'REV', 'WITHSCORES')[2]
    if last and last ~= '-inf' then place = last + 1 end
  else
    local first = call('ZRANGE', name, '(-inf', '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES')[2]
    if first then place = first - 1 end
  end
  call('ZADD', name, whole(place), r.t .. ',' .. queue)
  r.entered = back and 'back' or 'front'
  V.add_scheduled(V.extra(r.u, queue), 1)
  V.touch_line(r)
  V.use_lines()
end

-- Notes that tasks here may have a serial key.
function V.use_lines()
  if M.sk then return end
  M.sk = true
  M.set[#M.set + 1] = 'sk'
  M.set[#M.set + 1] = '1'
end

-- Whether it is this task's turn.
function V.holds_line(r, queue)
  return call('ZSCORE', N.line(r.u, r.sk), r.t .. ',' .. queue) == '-inf'
end

-- Takes a task out of the line of its key. Answers whether it waited there, in no lane.
function V.leave_line(r, queue)
  if not r.sk then return false end
  local name, member = N.line(r.u, r.sk), r.t .. ',' .. queue
  local score = call('ZSCORE', name, member)
  if not score then return false end
  call('ZREM', name, member)
  V.touch_line(r)
  if score == '-inf' then return false end
  V.add_scheduled(V.extra(r.u, queue), -1)
  return true
end

-- A task that waits from now on: in its line, where it has to stand in one, else in its lane.
function V.wait_in(r, queue, back, ringed)
  if r.sk then
    V.enter_line(r, queue, back)
  else
    V.enter(r.u, queue, V.entry(r.t, r.a, r.c), back, ringed, r.p)
  end
end

-- The first of a line that has no holder gets its key: in front of its lane, if it has waited,
-- because it came before what is there since.
local function hand_over(line, ringed)
  while true do
    local head = call('ZRANGE', line.name, 0, 0, 'WITHSCORES')
    if not head[1] or head[2] == '-inf' then return end
    local task, queue = string.match(head[1], '^([^,]+),([^,]+)')
    local r = V.record(line.user, task or '')
    V.want(r)
    V.fetch()
    V.add_scheduled(V.extra(line.user, queue or ''), -1)
    if r.s == 'queued' and r.sk and not r.gone then
      call('ZADD', line.name, '-inf', head[1])
      V.enter(r.u, queue, V.entry(r.t, r.a, r.c), r.entered == 'back', ringed, r.p)
      return
    end
    -- What stands there is no task that waits: it must not keep the others.
    call('ZREM', line.name, head[1])
  end
end

function V.settle_lines()
  local ringed = {}
  for i = 1, #touched do hand_over(touched[i], ringed) end
  touched, known = {}, {}
  V.wake_for(ringed)
end
