-- lane: a user's part of a queue, the ring of those that are not empty, and what waits there.
--
-- reads:   meta fields x:<queue>:<user> = dead,scheduled
-- replies: nothing
-- moves:   nothing; it is where queued tasks are put
--
-- What waits in a lane is its length less its dead references, and what is scheduled for it, be it
-- for a time or for the end of others. The
-- two numbers are kept only where they are not 0.

local extras, extra_order
each_call(function() extras, extra_order = {}, {} end)

-- A lane's two numbers; `text` is the field if it has been read.
function V.extra(user, queue, text)
  local name = 'x:' .. queue .. ':' .. user
  local x = extras[name]
  if not x then
    if text == nil then text = call('HGET', META, name) end
    local dead, scheduled = string.match(text or '', '^(%d+),(%d+)')
    x = { name = name, dead = tonumber(dead) or 0, scheduled = tonumber(scheduled) or 0 }
    extras[name] = x
  end
  return x
end

local function touch(x)
  if not x.touched then
    x.touched = true
    extra_order[#extra_order + 1] = x
  end
end

function V.add_dead(x, by)
  x.dead = math.max(0, x.dead + by)
  touch(x)
end

function V.add_scheduled(x, by)
  x.scheduled = math.max(0, x.scheduled + by)
  touch(x)
end

function V.keep_lanes()
  for i = 1, #extra_order do
    local x = extra_order[i]
    if x.dead == 0 and x.scheduled == 0 then
      call('HDEL', META, x.name)
    else
      M.set[#M.set + 1] = x.name
      M.set[#M.set + 1] = int(x.dead) .. ',' .. int(x.scheduled)
    end
    -- A call touches at most as many lanes as it touches tasks.
    if #M.set >= UNPACK_MAX then
      call('HSET', META, unpack(M.set))
      M.set = {}
    end
  end
end

-- An entry stands for its task only while that is queued under this claim number.
function V.entry(task, attempt, claim)
  return task .. ':' .. int(attempt) .. ':' .. int(claim)
end

-- Task, attempt and claim number of an entry; nothing where it is none. Further parts may follow.
function V.read_entry(entry)
  return string.match(entry, '^([^:]+):(%d+):(%d+)%f[:%z]')
end

-- User, task, queue, attempt and claim number of a member of `due`. Further parts may follow.
function V.read_due(member)
  return string.match(member .. ',', '^([^,]+),([^,]+),([^,]+),(%d+),(%d+),')
end

-- Puts an entry into its lane at the `back` or the front, and the lane into the ring if it was
-- empty; adds its queue to `ringed` then.
function V.enter(user, queue, entry, back, ringed)
  local length = call(back and 'RPUSH' or 'LPUSH', N.lane(user, queue), entry)
  if length == 1 then
    call('RPUSH', N.ring(queue), user)
    ringed[#ringed + 1] = queue
  end
end

-- The same for many entries at the back: `lanes` in order, each {user, queue, entries, length}
-- already pushed. The order in the rings is that of the lanes' first entries.
function V.ring(lanes, ringed)
  local rings, order = {}, {}
  for i = 1, #lanes do
    local lane = lanes[i]
    if lane.length == #lane.entries then
      local users = rings[lane.queue]
      if not users then
        users = {}
        rings[lane.queue] = users
        order[#order + 1] = lane.queue
      end
      users[#users + 1] = lane.user
      ringed[#ringed + 1] = lane.queue
    end
  end
  for i = 1, #order do call('RPUSH', N.ring(order[i]), unpack(rings[order[i]])) end
end

-- Takes a lane that is empty from wherever it waits for its turn.
function V.leave_queue(user, queue)
  call('LREM', N.ring(queue), 0, user)
  call('HDEL', N.credit(queue), user)
  call('ZREM', N.full(queue), user)
  call('SREM', N.user(user) .. 'z', queue)
end

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
    if removed == length then V.leave_queue(r.u, queue) end
  end
end

-- Takes a task that waits from where its state says that it does.
function V.leave_waiting(r, queue)
  if V.leave_line(r, queue) then return end
  if r.s == 'scheduled' then
    call('ZREM', DUE, r.id .. ',' .. queue .. ',' .. int(r.a) .. ',' .. int(r.c))
    V.add_scheduled(V.extra(r.u, queue), -1)
  elseif r.s == 'waiting' then
    V.add_scheduled(V.extra(r.u, queue), -1)
  else
    leave_lane(r, queue)
  end
end

-- A task that waits and is in no structure any more lets go of its end in `unstarted`.
function V.drop_expiry(r, queue)
  if r.x then
    M.ex = M.ex - call('ZREM', UNSTARTED, r.id .. ',' .. queue)
    r.x = nil
  end
end

-- A task has ended. Where links is not at hand, the end is told by whoever looks after the partition
-- next.
function V.over(r)
  if M.fl > 0 and call('EXISTS', r.U .. 'f:' .. r.t) == 1 then
    M.ld = M.ld + 1
    call('RPUSH', LEADS, r.id)
  end
end

-- Ends a task that waits and has left its place. `ended` is as for `V.list_ended`.
function V.stop_waiting(r, queue, body, keep, ended)
  V.drop_expiry(r, queue)
  r.s, r.n = 'cancelled', V.counted(r.n, r.n + 1)
  V.add_ended(ended, keep, r, r.c)
  V.write(r, int(now()), '', body, body)
  V.over(r)
end

-- Whether the time of a task that waits is over.
function V.is_expired(r) return r.x and tonumber(r.x) <= now() end

-- Wakes up to `limit` idle workers of a queue, the one idle for longest first; how many. Who is
-- gone does not hear it, and then it is the next one's turn. None is where nothing is handed out.
function V.wake(queue, limit)
  local woken, tried = 0, 0
  if not V.is_open_by_name(queue) then return 0 end
  while woken < limit and tried < WAKE_TRIES_MAX do
    local idle = call('ZPOPMIN', N.idle(queue))
    if not idle[1] then break end
    tried = tried + 1
    if call('SPUBLISH', N.wake(idle[1]), 'w' .. queue) > 0 then woken = woken + 1 end
  end
  return woken
end

-- Wakes workers for lanes that have just entered their rings.
function V.wake_for(ringed)
  local left = WAKES_MAX
  for i = 1, #ringed do
    if left == 0 then break end
    left = left - V.wake(ringed[i], 1)
  end
end

-- Lists an ended task for the sweep, `ended` = { keep_s = { entries }, order = { keep_s } }.
function V.list_ended(ended)
  for i = 1, #ended.order do
    local keep = ended.order[i]
    call('RPUSH', N.sweep(keep), unpack(ended[keep]))
    if not string.find(' ' .. M.keeps .. ' ', ' ' .. keep .. ' ', 1, true) then
      M.keeps = M.keeps == '' and keep or M.keeps .. ' ' .. keep
      M.keeps_changed = true
    end
  end
  if M.keeps_changed then
    M.keeps_changed = false
    M.set[#M.set + 1] = 'keeps'
    M.set[#M.set + 1] = M.keeps
  end
end

function V.add_ended(ended, keep, r, claim)
  local list = ended[keep]
  if not list then
    list = {}
    ended[keep] = list
    ended.order[#ended.order + 1] = keep
  end
  list[#list + 1] = r.u .. ',' .. r.t .. ',' .. int(claim) .. ',' .. int(now())
end
