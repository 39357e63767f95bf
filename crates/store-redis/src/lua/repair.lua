-- repair: looks at suspects again, and puts right what is wrong about them at this very moment.
--
-- reads:   a count and suspects: verb, and
--          'l' lane: user, queue                     'q' queued: user, task, queue
--          'r' running: user, task, queue, keep_s    's' scheduled: user, task, queue
--          'i' index: user, task, what lists find it by
--          'listed' by state: user, task, what its error is called
--          'n' entry: user, queue, entry
--          'w' sweep: user, task, keep_s             't' lease: token
--          'd' due: member                           'c' cancel mark: user, task
--          'y' member of a line: user, serial key, member
--          'p' expires: user, task, queue            'b' listed as one that does: member
--          'x' counts: user, queue, what they are, the lane's length, what they should be
--          'tally' what is counted of a user: user, as it is kept, what it should be, see tally
--          'e' events: user                          'k' credit: queue, user
--          'z' events that nobody needs: user
--          'u' user: user                            'f' users' settings: queue
--          'h' schedule: user, name                  'j' listed as one: member
--          'ties' waiting: user, task, queue         'a' ended, not told: user, task, and a
--                                                       part that goes on, or ''
--          'o' has ties or not: user, task           'v' part: user, flow, part, its queue
--          'runs' tasks that run, counted: queue, user
--          'total' tasks that run over all users, counted: queue
--          'paces' what has started, and is made up for: queue, user
--          'm' counts of cancel marks, of what expires, of paused users, of ties, of ends to be told and
--              of lanes that are looked at again, and the time of the first schedule
--          'priorities' have to be told: queue
--          'times' that are kept of somebody or of a task: queue, field
--          'g' retention: keep_s, or '' after the last
-- replies: one text per suspect: the name of the repair, or '' where all is well
-- moves:   running -> queued, running -> cancelled, waiting -> cancelled, for tasks whose lease or
--          ties have vanished

-- More leases than this are not searched for one task: then it is left to a later pass.
local LEASES_SEARCHED_MAX = 20000
local leases
-- The lease of a task: its token, nil for none, or false where they are too many to know.
local function search_leases()
  if leases ~= nil then return leases end
  if call('ZCARD', LEASES) > LEASES_SEARCHED_MAX then
    leases = false
  else
    leases = {}
    for _, token in ipairs(call('ZRANGE', LEASES, 0, -1)) do
      local user, task = string.match(token, '^[^|]+|([^|]+)|([^|]+)|')
      if user then leases[user .. ',' .. task] = token end
    end
  end
  return leases
end
local function lease_of(r)
  return search_leases() and leases[r.id]
end

local function look(user, task)
  local r = V.record(user, task)
  V.want(r, false, true)
  V.fetch()
  if r.d == nil then r.d = call('EXISTS', r.U .. 'd:' .. task) == 1 end
  return r
end

local function unmark(r)
  if call('SREM', CANCELS, r.id) == 1 then M.cx = M.cx - 1 end
end

local ended, ringed = { order = {} }, {}

-- Puts a task that waits into its lane, where it is not.
local function into_lane(r, queue, back)
  local entry = V.entry(r.t, r.a, r.c)
  if call('LPOS', N.lane(r.u, queue, r.p), entry) then return '' end
  if r.p then V.use_priorities(queue) end
  V.enter(r.u, queue, entry, back, ringed, r.p)
  return 'lane_entry'
end

-- Keeps a text that nothing can be made of where an operator finds it.
local QUARANTINE_MAX = 1000
local function quarantine(text)
  call('RPUSH', B .. 'quarantine', text)
  call('LTRIM', B .. 'quarantine', -QUARANTINE_MAX, -1)
  return 'quarantined'
end

local R = {}

function R.l()
  local user, queue = take(), take()
  local ring = N.ring(queue)
  local turns = #call('LPOS', ring, user, 'COUNT', 0)
  local full = call('ZSCORE', N.full(queue), user)
  local aside = call('SISMEMBER', N.user(user) .. 'z', queue) == 1
  local length = V.length(user, queue)
  local places = turns + (full and 1 or 0) + (aside and 1 or 0)
  if length == 0 and places == 0 then return '' end
  if length > 0 and places == 1 then
    -- Whoever is set aside must have something in their way.
    local paused = M.paused > 0 and call('HEXISTS', PAUSED, user) == 1
    if turns == 1 or (aside and paused) then return '' end
    local of = V.user_settings(call('HGET', N.overrides(queue), user))
    local gate, good = V.lane_gate(queue, user, of)
    local look = full and call('ZSCORE', THROTTLED, queue .. ',' .. user)
    -- Whoever has nothing in their way gets in with the look that is to come.
    if full and not gate and look and tonumber(look) <= lease_time() then return '' end
    if full and gate then
      if not good or (look and tonumber(look) <= good) then return '' end
      V.look_again(queue, { user }, { [user] = good })
      return 'throttled'
    end
  end
  V.leave_queue(user, queue)
  if length > 0 then
    call('RPUSH', ring, user)
    ringed[#ringed + 1] = queue
  end
  return 'ring'
end

-- Where the state of a queued task is lost, the list that it stands in tells its priority.
local function find_priority(r, queue)
  if not V.has_priorities(queue) then return false end
  local entry = V.entry(r.t, r.a, r.c)
  for _, letter in ipairs({ 'h', 'l' }) do
    if call('LPOS', N.lane(r.u, queue, letter), entry) then r.p = letter end
  end
  return r.p ~= nil
end

function R.q()
  local user, task, queue = take(), take(), take()
  local r = look(user, task)
  if not r.d or r.s ~= 'queued' then return '' end
  -- One without a state is untouched, or its state is lost: a lease would say so.
  if not r.raw and lease_of(r) ~= nil then return '' end
  local f = not r.raw and V.links(r)
  if f and (V.pending(f) > 0 or (f.g and f.g[1] == 0)) then
    -- What its ties say was lost: it waits, or ends with its parts.
    r.s, r.n = 'waiting', r.n + 1
    if f.g then
      V.gathered(r, ringed, ended)
    else
      V.write(r, int(now()), ',"on":' .. int(V.pending(f)), '', '')
    end
    return 'state'
  end
  if r.sk and not V.holds_line(r, queue) then return '' end
  if not r.raw and find_priority(r, queue) then
    V.write(r, int(now()), '', '', '')
    return 'state'
  end
  return into_lane(r, queue, true)
end

function R.r()
  local user, task, queue, keep = take(), take(), take(), take()
  local r = look(user, task)
  if not r.d or r.s ~= 'running' then return '' end
  -- Only an adopted lease has another token than the state tells.
  local token = queue .. '|' .. user .. '|' .. task .. '|' .. int(r.a) .. '|' .. int(r.c) .. '|' .. V.holder(r)
  if call('ZSCORE', LEASES, token) or lease_of(r) ~= nil then return '' end
  V.spent(queue, user, task)
  if call('SISMEMBER', CANCELS, r.id) == 1 then
    unmark(r)
    V.leave_line(r, queue)
    r.s, r.n = 'cancelled', V.counted(r.n, r.n + 1)
    V.add_ended(ended, keep, r, r.c)
    V.over(r)
  else
    r.s, r.c, r.n = 'queued', r.c + 1, 0
    if r.sk and not V.holds_line(r, queue) then
      V.leave_line(r, queue)
      V.enter_line(r, queue, false)
    else
      into_lane(r, queue, false)
    end
  end
  V.write(r, int(now()), '', '', '')
  return 'lease'
end

function R.s()
  local user, task, queue = take(), take(), take()
  local r = look(user, task)
  if not r.d or r.s ~= 'scheduled' then return '' end
  local member = r.id .. ',' .. queue .. ',' .. int(r.a) .. ',' .. int(r.c)
  if call('ZSCORE', DUE, member) then return '' end
  local due = string.match(r.raw or '', '^{"s":"scheduled",[%w":,%-]-,"due":(%-?%d+)')
  call('ZADD', DUE, due or int(now()), member)
  return 'due'
end

-- More members of a line than this are not searched for one task.
local MEMBERS_SEARCHED_MAX = 10000

function R.i()
  local user, task, words = take(), take(), take()
  local r = look(user, task)
  local index = r.U .. 'i'
  local from, to = '[' .. task, '[' .. task .. '\255'
  if r.d then
    local known = call('ZRANGE', index, from, to, 'BYLEX')
    -- One that says nothing is good, and gets its words where they are known.
    if #known == 1 and (known[1] ~= task or words == '') then return '' end
    if #known > 0 then call('ZREM', index, unpack(known)) end
    call('ZADD', index, 0, V.indexed(task, words))
    return 'index'
  end
  -- What is left of it may still stand in a line.
  if r.sk then
    for _, member in ipairs(call('ZRANGE', N.line(user, r.sk), 0, MEMBERS_SEARCHED_MAX - 1)) do
      local queue = string.match(member, '^' .. task:gsub('%-', '%%-') .. ',([^,]+)$')
      if queue then V.leave_line(r, queue) end
    end
  end
  local gone = call('ZREMRANGEBYLEX', index, from, to)
  for _, letter in ipairs({ 't', 'a', 'o', 'f', 'm' }) do
    gone = gone + call('UNLINK', r.U .. letter .. ':' .. task)
  end
  M.fl = M.fl - call('SREM', NODES, r.id)
  return gone > 0 and 'record' or ''
end

-- A task is in the list of its state, if that has one, and in no other.
function R.listed()
  local user, task, words = take(), take(), take()
  local r, wrong = look(user, task), ''
  for state in pairs(LISTED) do
    local name = r.U .. 's:' .. state
    local there = call('ZRANGE', name, '[' .. task, '[' .. task .. '\255', 'BYLEX')
    if r.d and r.s == state then
      if #there == 0 then
        call('ZADD', name, 0, V.indexed(task, state == 'dead' and words or ''))
        wrong = 'state_list'
      end
    elseif #there > 0 then
      call('ZREM', name, unpack(there))
      wrong = 'state_list'
    end
  end
  return wrong
end

function R.n()
  local user, queue, entry = take(), take(), take()
  local task = V.read_entry(entry)
  if task and look(user, task).d then return '' end
  local gone = 0
  for _, letter in ipairs({ 'h', 'q', 'l' }) do
    gone = gone + call('LREM', N.lane(user, queue, letter), 0, entry)
  end
  if gone == 0 then return '' end
  if V.length(user, queue) == 0 then V.leave_queue(user, queue) end
  if not task then return quarantine('lane ' .. user .. ' ' .. queue .. ' ' .. entry) end
  return 'lane_entry'
end

-- More entries than this are not searched for one task; what is over stands among the first.
local ENTRIES_SEARCHED_MAX = 10000

function R.w()
  local user, task, keep = take(), take(), take()
  local r = look(user, task)
  if not r.d or not r.raw or not V.is_ended(r) then return '' end
  -- While lists are not all known, one of them may have it.
  if call('HEXISTS', META, 'search') == 1 then return '' end
  local name, at = N.sweep(keep), string.match(r.raw, '"at":(%-?%d+)')
  local entry = r.id .. ',' .. int(r.c) .. ',' .. at
  local over = tonumber(at) + keep * 1000 <= now()
  for used in string.gmatch(M.keeps .. ' ' .. keep, '%d+') do
    -- One that is not over may stand anywhere, so that not finding it would say nothing.
    if not over and call('LLEN', N.sweep(used)) > ENTRIES_SEARCHED_MAX then return '' end
    if call('LPOS', N.sweep(used), entry, 'MAXLEN', ENTRIES_SEARCHED_MAX) then return '' end
  end
  call(over and 'LPUSH' or 'RPUSH', name, entry)
  if not string.find(' ' .. M.keeps .. ' ', ' ' .. keep .. ' ', 1, true) then
    M.keeps = M.keeps == '' and keep or M.keeps .. ' ' .. keep
    call('HSET', META, 'keeps', M.keeps)
  end
  return 'sweep'
end

function R.t()
  local token = take()
  if not call('ZSCORE', LEASES, token) then return '' end
  local user, task, attempt, claim, holder =
    string.match(token, '^[^|]+|([^|]+)|([^|]+)|(%d+)|(%d+)|([%w_%-]+%.%d+)$')
  if not user then
    call('ZREM', LEASES, token)
    return quarantine('lease ' .. token)
  end
  claim = tonumber(claim)
  local r = look(user, task)
  if r.d and r.s == 'running' and r.c <= claim then return '' end
  if not r.d or r.c > claim or (r.c == claim and V.is_ended(r)) then
    -- Nothing is held under it.
    call('ZREM', LEASES, token)
    leases = nil
    V.leaves(string.match(token, '^[^|]+'), user)
    V.spent(string.match(token, '^[^|]+'), user, task)
    unmark(r)
    return 'lease'
  end
  -- Its state is lost, or what a lost state left: the holder goes on, and it shows.
  V.drop_expiry(r, string.match(token, '^[^|]+'))
  r.s, r.c, r.n, r.a, r.w = 'running', claim, 0, tonumber(attempt), holder
  V.write(r, int(now()), ',"w":"' .. holder .. '"', '', '')
  return 'state'
end

function R.d()
  local member = take()
  if not call('ZSCORE', DUE, member) then return '' end
  local user, task, _, _, claim = V.read_due(member)
  local r = user and look(user, task)
  if r and r.d and r.s == 'scheduled' and r.c == tonumber(claim) then return '' end
  call('ZREM', DUE, member)
  if not r then return quarantine('due ' .. member) end
  return 'due'
end

function R.p()
  local user, task, queue = take(), take(), take()
  local r = look(user, task)
  if not r.d or not r.x then return '' end
  local member = r.id .. ',' .. queue
  if call('ZSCORE', UNSTARTED, member) then return '' end
  M.ex = M.ex + call('ZADD', UNSTARTED, r.x, member)
  return 'expiry'
end

function R.b()
  local member = take()
  local score = call('ZSCORE', UNSTARTED, member)
  if not score then return '' end
  local user, task = string.match(member, '^([^,]+),([^,]+),[^,]+')
  local r = user and look(user, task)
  if r and r.d and r.x and tonumber(r.x) == tonumber(score) then return '' end
  M.ex = M.ex - call('ZREM', UNSTARTED, member)
  if not r then return quarantine('unstarted ' .. member) end
  return 'expiry'
end

-- A schedule is listed by its next tick, unless it rests.
local function list_schedule(user, name)
  local member = user .. ',' .. name
  local known, next_ms = V.known_schedule(user, name)
  local score = call('ZSCORE', SCHEDULES, member)
  if not known and call('HDEL', N.schedules(user), name) == 1 then
    call('ZREM', SCHEDULES, member)
    V.keep_first_tick()
    return quarantine('schedule ' .. member)
  end
  if not known or next_ms == '' then
    if not score then return '' end
    call('ZREM', SCHEDULES, member)
  else
    if score and tonumber(score) == tonumber(next_ms) then return '' end
    call('ZADD', SCHEDULES, next_ms, member)
  end
  V.keep_first_tick()
  return 'schedule'
end

function R.h()
  return list_schedule(take(), take())
end

function R.j()
  local member = take()
  local user, name = string.match(member, '^([^,]+),([^,]+)$')
  if user then return list_schedule(user, name) end
  if call('ZREM', SCHEDULES, member) == 0 then return '' end
  V.keep_first_tick()
  return quarantine('schedules ' .. member)
end

function R.c()
  local user, task = take(), take()
  local r = look(user, task)
  if call('SISMEMBER', CANCELS, r.id) == 0 then return '' end
  if r.d and r.s == 'running' then return '' end
  unmark(r)
  return 'cancel_mark'
end

-- While ends are on their way to those who wait for them, nothing can be said.
local function on_their_way() return V.leads_left() > 0 end

-- Sees to it that a task with ties is listed as one.
local function list_node(r)
  local added = call('SADD', NODES, r.id)
  M.fl = M.fl + added
  return added == 1
end

function R.ties()
  local user, task, queue = take(), take(), take()
  local r = look(user, task)
  if not r.d or r.s ~= 'waiting' then return '' end
  local f = V.links(r)
  if not f then
    -- Nobody knows any more what it waits for; whoever sent it may send it back.
    V.leave_waiting(r, queue)
    V.stop_waiting(r, queue, '"why":"ties_lost"', int(KEEP_CANCELLED_S), ended)
    return 'ties'
  end
  if on_their_way() then return '' end
  local found = list_node(r)
  for i = 1, #f.up do
    local up = f.up[i]
    if not up.told and r.s == 'waiting' then
      local parent = look(user, up.t)
      if not parent.d or V.is_ended(parent) then
        V.tell_one(r, up.t, parent.d and parent.s or 'cancelled', ringed, ended)
        found = true
      end
    end
  end
  if r.s == 'waiting' and int(V.pending(f)) ~= (r.on or '') then
    found = true
    if f.g then
      V.gathered(r, ringed, ended)
    else
      V.waits_less(r, '', ringed)
    end
  end
  return found and 'ties' or ''
end

function R.a()
  local user, task, part = take(), take(), take()
  local r = look(user, task)
  local f = V.links(r)
  if not r.d or not f or not V.is_ended(r) or on_their_way() then return '' end
  local flow = f.of and look(r.u, f.of)
  local of = flow and V.links(flow)
  local wrong = of and of.g and f.oc == '-'
  if part ~= '' then
    local left = look(user, part)
    local waits = left.d and not V.is_ended(left) and left.s ~= 'running'
    wrong = f.g and r.s == 'cancelled' and waits
  end
  if not wrong then return '' end
  V.over(r)
  return 'ties'
end

function R.o()
  local r = look(take(), take())
  if r.d and V.links(r) then return list_node(r) and 'ties' or '' end
  local gone = call('SREM', NODES, r.id)
  M.fl = M.fl - gone
  return gone == 1 and 'ties' or ''
end

function R.v()
  local user, task, part, queue = take(), take(), take(), take()
  local flow, r = look(user, task), look(user, part)
  local of, f = V.links(flow), V.links(r)
  if not of or not of.g then return '' end
  local name = N.parts(user, task)
  if f and f.of == task and r.d then
    return call('ZADD', name, 'NX', 0, part) == 1 and 'ties' or ''
  end
  if not call('ZSCORE', name, part) then return '' end
  if r.d and not f then
    -- Its ties are lost, but for this one.
    r.f = { q = queue, of = task, oc = '-', up = {}, down = {} }
    V.keep_links(r)
    list_node(r)
    if V.is_ended(r) then V.over(r) end
    return 'ties'
  end
  call('ZREM', name, part)
  if not r.d and flow.s == 'waiting' and V.pending(of) > (of.g[3] == 1 and 0 or 1) then
    -- It is gone and was never counted.
    of.g[4] = of.g[4] - 1
    V.keep_links(flow)
    V.gathered(flow, ringed, ended)
  end
  return 'ties'
end

function R.x()
  local user, queue, before, length, after = take(), take(), take(), take(), take()
  local x = V.extra(user, queue)
  if int(x.dead) .. ',' .. int(x.scheduled) ~= before then return '' end
  if int(V.length(user, queue)) ~= length then return '' end
  local dead, scheduled = string.match(after, '^(%d+),(%d+)$')
  V.add_dead(x, tonumber(dead) - x.dead)
  V.add_scheduled(x, tonumber(scheduled) - x.scheduled)
  return 'counts'
end

-- It changes with whatever is counted: else nothing did since it was counted anew.
function R.tally()
  local user, before, after = take(), take(), take()
  if (call('GET', N.tally(user)) or '') ~= before then return '' end
  V.set_tally(user, before, after)
  return 'tally'
end

function R.e()
  local user = take()
  if call('EXISTS', N.user(user) .. 'e') == 1 or call('EXISTS', N.user(user) .. 'i') == 0 then
    return ''
  end
  -- Its numbers begin anew: only another epoch keeps them from being taken for the old ones.
  M.epoch = M.epoch + 1
  call('HSET', META, 'epoch', int(M.epoch))
  V.emit(user, '')
  return 'events'
end

-- No repair: a user without tasks needs no events of former ones. The last one stays, and with it
-- the number that the next goes on from; a cursor from before it is told to take a snapshot.
function R.z()
  local U = N.user(take())
  if call('EXISTS', U .. 'i') == 0 then call('XTRIM', U .. 'e', 'MAXLEN', 1) end
  return ''
end

function R.k()
  local queue, user = take(), take()
  if V.length(user, queue) > 0 then return '' end
  return call('HDEL', N.credit(queue), user) == 1 and 'credit' or ''
end

-- Where a task of a serial key that waits stands: at its turn if it is in its lane already.
local function into_line(r, queue, name, member)
  local lane, entry = N.lane(r.u, queue, r.p), V.entry(r.t, r.a, r.c)
  if not call('LPOS', lane, entry) then
    V.enter_line(r, queue, true)
  elseif call('ZRANGE', name, 0, 0, 'WITHSCORES')[2] ~= '-inf' then
    call('ZADD', name, '-inf', member)
  else
    call('LREM', lane, 0, entry)
    if V.length(r.u, queue) == 0 then V.leave_queue(r.u, queue) end
    V.enter_line(r, queue, true)
  end
end

function R.y()
  local user, key, member = take(), take(), take()
  local task, queue = string.match(member, '^([^,]+),([^,]+)$')
  local name = N.line(user, key)
  local score = call('ZSCORE', name, member)
  local r = task and look(user, task)
  local is_of = r and r.d and r.sk == key
  if is_of and r.s == 'running' then
    if score == '-inf' then return '' end
    call('ZADD', name, '-inf', member)
  elseif is_of and r.s == 'queued' then
    if not score then
      into_line(r, queue, name, member)
    elseif call('ZRANGE', name, 0, 0, 'WITHSCORES')[2] == '-inf' then
      return ''
    end
  elseif is_of and r.s == 'scheduled' and (not score or score == '-inf') then
    return ''
  else
    if not score then return '' end
    call('ZREM', name, member)
    V.touch_line({ u = user, sk = key })
  end
  if is_of then V.touch_line(r) end
  return 'line'
end

function R.u()
  return call('SADD', USERS, take()) == 1 and 'user' or ''
end

function R.f()
  local queue = take()
  local all = call('HGETALL', N.overrides(queue))
  local known = call('HGET', META, 'q:' .. queue)
  local set, users = V.queue(known), #all > 0 and 1 or 0
  for i = 2, #all, 2 do
    if V.limits(V.user_settings(all[i])) then users = users + 1 end
  end
  if users == V.said_users(set) then return '' end
  V.set_queue(queue, set, users, V.of_queue(known))
  if #all == 0 then call('UNLINK', N.credit(queue)) end
  return 'overrides'
end

-- No repair: what is made up for need not be kept. Where nothing limits, nothing is kept.
function R.paces()
  local queue, user = take(), take()
  if not V.is_paced(V.set_of(queue)) then return call('UNLINK', N.pace(queue)) == 1 and 'pace' or '' end
  local one = V.paces(queue, { user })[1]
  if one.full <= M.lt * 1000 then one.full = 0 end
  return ''
end

-- What is counted of a user is what the leases say; nothing is counted where nothing limits.
function R.runs()
  local queue, user = take(), take()
  V.make_room()
  local name = N.running(queue)
  if not V.is_counted(V.set_of(queue)) then
    return call('UNLINK', name) == 1 and 'running' or ''
  end
  if not search_leases() then return '' end
  local count, front = 0, queue .. '|' .. user .. '|'
  for _, token in pairs(leases) do
    if string.sub(token, 1, #front) == front then count = count + 1 end
  end
  local is = V.running(queue, { user })[1]
  if is == count then return '' end
  V.count_running(queue, user, count - is)
  -- Whoever was kept out by a number too high gets in with the next look at their lane.
  return 'running'
end

-- What runs over all users, where something limits that.
function R.total()
  local queue = take()
  local set = V.set_of(queue)
  if not (set and set.total) then return call('HDEL', META, 't:' .. queue) == 1 and 'total' or '' end
  if call('ZCARD', LEASES) > LEASES_SEARCHED_MAX then return '' end
  local one, count = V.total(queue), 0
  V.each_lease(queue, function() count = count + 1 end)
  -- Where the field was lost, this look has made it anew.
  if one.now == count then return one.touched and 'total' or '' end
  V.count_total(queue, set, count - one.now)
  return 'total'
end

-- What is known of starts over all users, where something limits in which time they come.
function R.hand()
  local queue = take()
  local set = V.set_of(queue)
  if not (set and set.rate_total) then return call('HDEL', META, 'r:' .. queue) == 1 and 'hand' or '' end
  -- Where the field was lost, this look has made it anew.
  return V.hand_of(queue).touched and 'hand' or ''
end

-- What is kept of run times is of those who are there, of tasks that run, and of queues that share it.
function R.times()
  local queue, field = take(), take()
  local name = N.times(queue)
  V.make_room()
  if not V.is_timed(V.set_of(queue)) then return call('UNLINK', name) == 1 and 'times' or '' end
  local user, task = string.match(field, '^([^,]+),([^,]+)$')
  if user then
    if not search_leases() or leases[user .. ',' .. task] then return '' end
    V.spent(queue, user, task)
    return call('HEXISTS', name, field) == 1 and 'times' or ''
  end
  if field == '.' or call('SISMEMBER', USERS, field) == 1 then return '' end
  return call('HDEL', name, field) == 1 and 'times' or ''
end

-- Tasks of a queue have a priority, and it has to be known there.
function R.priorities()
  local queue = take()
  if V.has_priorities(queue) then return '' end
  V.use_priorities(queue)
  return 'priorities'
end

function R.m()
  local marks, expiring = call('SCARD', CANCELS), call('ZCARD', UNSTARTED)
  local nodes, leads, paused = call('SCARD', NODES), call('LLEN', LEADS), call('HLEN', PAUSED)
  local throttled = call('ZCARD', THROTTLED)
  local wrong = ''
  if nodes ~= M.fl or leads ~= M.ld then wrong = 'ties_count' end
  if paused ~= M.paused then wrong = 'pause_count' end
  if throttled ~= M.th then wrong = 'throttled_count' end
  if expiring ~= M.ex then wrong = 'expiry_count' end
  if marks ~= M.cx then wrong = 'cancel_count' end
  M.cx, M.ex, M.fl, M.ld, M.paused, M.th = marks, expiring, nodes, leads, paused, throttled
  local first = M.sc
  V.keep_first_tick()
  if first ~= M.sc then wrong = 'schedule_time' end
  return wrong
end

function R.g()
  local keep = take()
  if keep == '' then
    call('HDEL', META, 'search')
    return ''
  end
  if string.find(' ' .. M.keeps .. ' ', ' ' .. keep .. ' ', 1, true) then return '' end
  if call('EXISTS', N.sweep(keep)) == 0 then return '' end
  M.keeps = M.keeps == '' and keep or M.keeps .. ' ' .. keep
  call('HSET', META, 'keeps', M.keeps)
  return 'retention'
end

local refusal = V.begin({})
if refusal then return refusal end
local done = {}
for i = 1, tonumber(take()) do done[i] = R[take()]() end
V.make_room()
V.list_ended(ended)
V.wake_for(ringed)
V.lead_on()
V.settle_lines()
V.wake_for_room()
V.finish()
return done
