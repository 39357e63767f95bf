-- lane: a user's part of a queue, the ring of those that are not empty, and what waits there.
--
-- reads:   meta fields x:<queue>:<user> = dead,scheduled,passed,cleared; pr, see V.has_priorities
-- replies: nothing
-- moves:   nothing; it is where queued tasks are put
--
-- What waits in a lane is its length less its dead references, and what is scheduled for it, be it
-- for a time or for the end of others. The numbers are kept only where they are not 0.
--
-- A lane is one list where no task of its queue has a priority, else one for each. How many turns in
-- a row have passed over its low tasks is the third number. The fourth is up to which of its entries
-- dead references have been taken out, where there were many.

-- The lists of a lane in the order in which they are taken, and where it is the turn of the low ones.
local LISTS, LOW_FIRST = { 'h', 'q', 'l' }, { 'l', 'h', 'q' }

-- Whether the lanes of a queue may be of more than one list. Once they were, it stays.
local mixed
each_call(function() mixed = {} end)
function V.has_priorities(queue)
  if M.pr == '' then return false end
  if mixed[queue] == nil then
    mixed[queue] = M.pr == '*' or string.find(' ' .. M.pr .. ' ', ' ' .. queue .. ' ', 1, true) ~= nil
  end
  return mixed[queue]
end

-- Notes that tasks of a queue have a priority. Where too many queues have such, all have.
function V.use_priorities(queue)
  if V.has_priorities(queue) then return end
  local _, count = string.gsub(M.pr, '%S+', '')
  M.pr = count >= PRIORITY_QUEUES_MAX and '*' or M.pr == '' and queue or M.pr .. ' ' .. queue
  mixed = {}
  M.set[#M.set + 1] = 'pr'
  M.set[#M.set + 1] = M.pr
end

-- How many entries a lane has.
function V.length(user, queue)
  local length = call('LLEN', N.lane(user, queue))
  if V.has_priorities(queue) then
    length = length + call('LLEN', N.lane(user, queue, 'h')) + call('LLEN', N.lane(user, queue, 'l'))
  end
  return length
end

local extras, extra_order
each_call(function() extras, extra_order = {}, {} end)

-- A lane's numbers; `text` is the field if it has been read.
function V.extra(user, queue, text)
  local name = 'x:' .. queue .. ':' .. user
  local x = extras[name]
  if not x then
    if text == nil then text = call('HGET', META, name) end
    local dead, scheduled, passed, cleared =
      string.match(text or '', '^(%d+),(%d+),?(%d*),?(%d*)')
    x = {
      name = name, user = user, queue = queue, dead = tonumber(dead) or 0,
      scheduled = tonumber(scheduled) or 0, passed = tonumber(passed) or 0,
      cleared = tonumber(cleared) or 0, left = 0,
    }
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

function V.set_passed(x, passed)
  if x.passed ~= passed then
    x.passed = passed
    touch(x)
  end
end

-- Which of a user's entries stand for their tasks.
local function standing(user, entries)
  local stands, asked, names, each = {}, {}, {}, {}
  for i = 1, #entries do
    local task, _, claim = V.read_entry(entries[i])
    each[i] = { r = V.record(user, task or ''), c = claim }
    V.want(each[i].r)
  end
  V.fetch()
  for i = 1, #each do
    local r = each[i].r
    if r.s == 'queued' and not r.gone and int(r.c) == each[i].c then
      asked[#asked + 1] = i
      names[#names + 1] = r.U .. 'd:' .. r.t
    end
  end
  -- What has no state is queued, if it is there at all.
  local found = V.which_exist(names)
  for i = 1, #asked do stands[asked[i]] = found[i] end
  return stands
end

-- Takes the dead references out of the next `looks` entries from `at` on of a list of this `length`:
-- how many, and how many entries are left of those.
local function clear_list(user, name, length, at, looks)
  local entries = call('LRANGE', name, int(at), int(at + looks - 1))
  local stands, head, dead = standing(user, entries), 0, 0
  if at == 0 then
    while head < #entries and not stands[head + 1] do head = head + 1 end
    if head > 0 then call('LTRIM', name, int(head), -1) end
  end
  for i = head + 1, #entries do
    if not stands[i] then
      call('LSET', name, int(at + i - 1 - head), CLEARED)
      dead = dead + 1
    end
  end
  -- A count below zero searches from the tail, which is less to read where it is nearer.
  if dead > 0 then call('LREM', name, int(2 * at < length and dead or -dead), CLEARED) end
  return head + dead, #entries - head - dead
end

-- Takes the dead references off the end of a list, `looks` at most: how many. There they are where what
-- was submitted last is taken back first, as by an operation on many tasks; elsewhere it costs one look.
local function clear_end(user, name, looks)
  local last = call('LINDEX', name, -1)
  if not last or standing(user, { last })[1] then return 0 end
  local entries = call('LRANGE', name, int(-looks), -1)
  local stands, left = standing(user, entries), #entries
  while left > 0 and not stands[left] do left = left - 1 end
  local dead = #entries - left
  call('LTRIM', name, 0, int(-1 - dead))
  return dead
end

-- A reference to a task that waits stays in its lane, dead, when it leaves. Who cancels and submits
-- again, while nobody claims, must not grow the lane for ever: where more are dead than should be, the
-- calls that leave look at `CLEAR_LOOKS` of its entries for each `CLEAR_EVERY` that have left, one after
-- another: few at a time, for all others wait meanwhile. To search each time for the one that leaves
-- would take longer the longer the lane is. It looks at fewer than there are, so that no lane loses its
-- last entry here.
local function clear(x)
  local times = math.floor(x.dead / CLEAR_EVERY) - math.floor((x.dead - x.left) / CLEAR_EVERY)
  if times <= 0 then return end
  local length = V.length(x.user, x.queue)
  if x.dead <= 2 * (length - x.dead) + LANE_DEAD_MAX then return end
  if x.cleared >= length then x.cleared = 0 end
  local before = 0
  for i = 1, #LISTS do
    local name = N.lane(x.user, x.queue, LISTS[i])
    local entries = call('LLEN', name)
    if x.cleared < before + entries then
      local looks = math.min(times * CLEAR_LOOKS, LANE_DEAD_MAX)
      local ended = clear_end(x.user, name, looks)
      V.add_dead(x, -ended)
      if ended < looks then
        local at = x.cleared - before
        local taken, left = clear_list(x.user, name, entries - ended, at, looks - ended)
        V.add_dead(x, -taken)
        x.cleared = x.cleared + left
      end
      return
    end
    before = before + entries
  end
end

function V.keep_lanes()
  for i = 1, #extra_order do
    local x = extra_order[i]
    if x.left > 0 then clear(x) end
    if x.dead == 0 then x.cleared = 0 end
    if x.dead == 0 and x.scheduled == 0 and x.passed == 0 then
      call('HDEL', META, x.name)
    else
      M.set[#M.set + 1] = x.name
      local more = ''
      if x.cleared > 0 then
        more = ',' .. int(x.passed) .. ',' .. int(x.cleared)
      elseif x.passed > 0 then
        more = ',' .. int(x.passed)
      end
      M.set[#M.set + 1] = int(x.dead) .. ',' .. int(x.scheduled) .. more
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

-- Whether the list of normal tasks, or that of a priority, is all that a lane has.
local function is_alone(user, queue, priority)
  if not V.has_priorities(queue) then return true end
  local others = {}
  for i = 1, #LISTS do
    if LISTS[i] ~= (priority or 'q') then others[#others + 1] = N.lane(user, queue, LISTS[i]) end
  end
  return call('EXISTS', unpack(others)) == 0
end

-- Puts an entry into its lane at the `back` or the front of its priority, and the lane into the ring
-- if it was empty; adds its queue to `ringed` then.
function V.enter(user, queue, entry, back, ringed, priority)
  local length = call(back and 'RPUSH' or 'LPUSH', N.lane(user, queue, priority), entry)
  if length == 1 and is_alone(user, queue, priority) then
    call('RPUSH', N.ring(queue), user)
    ringed[#ringed + 1] = queue
  end
end

-- Many entries for the back of a lane, {user, queue, entries}; those of a priority are in a list of
-- their own, by its letter.
function V.gather_entry(lane, entry, priority)
  local list = lane
  if priority then
    list = lane[priority] or { entries = {} }
    lane[priority] = list
  end
  list.entries[#list.entries + 1] = entry
end

-- The lists of a lane to which something was gathered: calls `with` for each, and its name.
local function gathered(lane, with)
  if #lane.entries > 0 then with(lane, N.lane(lane.user, lane.queue)) end
  if lane.h then with(lane.h, N.lane(lane.user, lane.queue, 'h')) end
  if lane.l then with(lane.l, N.lane(lane.user, lane.queue, 'l')) end
end

local function push(list, name) list.length = call('RPUSH', name, unpack(list.entries)) end
local function pull(list, name) call('RPOP', name, #list.entries) end

-- Pushes what was gathered for a lane; and takes it off again, which nobody has seen.
function V.push(lane) gathered(lane, push) end
function V.pull(lane) gathered(lane, pull) end

-- How much waits for a lane without what was gathered for it.
function V.waits_before(lane)
  local length
  if #lane.entries > 0 and lane.length then
    length = lane.length - #lane.entries
  else
    length = call('LLEN', N.lane(lane.user, lane.queue))
  end
  if V.has_priorities(lane.queue) then
    for i = 1, #LISTS do
      local letter = LISTS[i]
      local list = lane[letter]
      if list and list.length then
        length = length + list.length - #list.entries
      elseif letter ~= 'q' then
        length = length + call('LLEN', N.lane(lane.user, lane.queue, letter))
      end
    end
  end
  return length - lane.x.dead + lane.x.scheduled
end

-- Whether a lane was empty before what was gathered for it was pushed.
local function was_empty(lane)
  if not V.has_priorities(lane.queue) then return lane.length == #lane.entries end
  local others = {}
  for i = 1, #LISTS do
    local letter = LISTS[i]
    local list = letter == 'q' and #lane.entries > 0 and lane or lane[letter]
    if not list then
      others[#others + 1] = N.lane(lane.user, lane.queue, letter)
    elseif list.length ~= #list.entries then
      return false
    end
  end
  return #others == 0 or call('EXISTS', unpack(others)) == 0
end

-- Puts lanes into their rings to which was pushed what was gathered, where they were empty: `lanes`
-- in the order of their first entries.
function V.ring(lanes, ringed)
  local rings, order = {}, {}
  for i = 1, #lanes do
    local lane = lanes[i]
    if was_empty(lane) then
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

-- Which of these names there are: nearly always all or none, and then it costs one command.
function V.which_exist(names)
  local count = #names > 0 and call('EXISTS', unpack(names)) or 0
  local found = {}
  for i = 1, #names do
    found[i] = count == #names or (count > 0 and call('EXISTS', names[i]) == 1)
  end
  return found
end

-- Takes the first `count` entries of a lane whose lists are by priority, as one turn: as `take` of
-- `lane.rs` of core. `has_low` is whether there are low ones. Answers whether something is left; nothing
-- where only the two other lists say.
function V.take_turn(user, queue, count, has_low)
  local low = has_low and call('LLEN', N.lane(user, queue, 'l')) or 0
  local taken, order, x, left = {}, LISTS, nil, low
  if low > 0 then
    x = V.extra(user, queue)
    if x.passed + 1 >= LOW_TURN then order = LOW_FIRST end
  end
  for i = 1, #order do
    local letter = order[i]
    if #taken < count and (letter ~= 'l' or low > 0) then
      local some = call('LPOP', N.lane(user, queue, letter), int(count - #taken)) or {}
      for j = 1, #some do taken[#taken + 1] = some[j] end
      if letter == 'l' then left = low - #some end
    end
  end
  if x then V.set_passed(x, left > 0 and left == low and x.passed + 1 or 0) end
  if #taken < count then return taken, false end
  if left > 0 then return taken, true end
  return taken, nil
end

-- Takes a lane that is empty from wherever it waits for its turn.
function V.leave_queue(user, queue)
  call('LREM', N.ring(queue), 0, user)
  call('HDEL', N.credit(queue), user)
  call('ZREM', N.full(queue), user)
  call('SREM', N.user(user) .. 'z', queue)
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
    local x = V.extra(r.u, queue)
    x.left = x.left + 1
    V.add_dead(x, 1)
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
  if not V.is_open_by_name(queue) or V.is_resting(queue) then return 0 end
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
  local left, asked = WAKES_MAX, {}
  for i = 1, #ringed do
    local queue = ringed[i]
    if left == 0 then break end
    -- Where nobody is idle, nobody is for the next lane of that queue.
    if not asked[queue] then
      local woken = V.wake(queue, 1)
      asked[queue], left = woken == 0, left - woken
    end
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
