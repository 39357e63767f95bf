-- submit: accept tasks, each for itself.
--
-- reads:   ARGV[3] created_ms; a count and tasks:
--          user, task, queue, due_ms or '', descriptor, what lists find it by, event members,
--          lane_max, the most bytes where none is set of the user, 'h', 'l' or '',
--          expires_ms or '', followed by keep_s if it expires,
--          '' or '='key followed by body hash, ttl_ms and what the submission makes of the task
--          that has the key: 't' the same until the key is forgotten, 'd' until it is done, 's'
--          until it is started; 'u', 'h' as 'd', 't' whatever the body; 'r' it is cancelled if it
--          waits, followed by the members of its state then and its keep_s;
--          '' or a serial key followed by '1' to ask who holds it to stop;
--          in a tick, what tick reads
-- replies: one text per task: 'a' accepted; 'e'task existing; 'c'task conflict; 'f' lane full;
--          'b' too many bytes
-- moves:   nothing -> queued, nothing -> scheduled, scheduled -> cancelled, queued -> cancelled

local at = take()
local tasks, lanes, lane_of, fields = {}, {}, {}, {}
local keyed, dated = false, false
for i = 1, read(take()) do
  local user, task, queue, due, descriptor, entry, event, most, room, priority, expires = take_some(11)
  local r = V.record(user, task)
  if due == '' then due = nil else dated = true end
  -- Made with all its fields at once: a table that grows is dear.
  local new = {
    u = user, t = task, q = queue, due = due, d = descriptor, e = entry, event = event,
    most = read(most), room = read(room),
    r = r, id = r.id, name = r.U .. 'd:' .. task, key = nil, lane = nil, replaces = nil, p = nil,
  }
  if priority ~= '' then new.p = priority end
  if expires ~= '' then new.x, new.k = expires, take() end
  new.key = take()
  if new.key == '' then
    new.key = nil
  else
    keyed = true
    new.key = N.key(new.u, string.sub(new.key, 2))
    new.hash, new.ttl, new.mode = take_some(3)
    if new.mode == 'r' then new.why, new.keep = take(), take() end
  end
  new.sk = take()
  if new.sk == '' then new.sk = nil else new.stops = take() == '1' end
  local name = new.q .. ':' .. new.u
  if not lane_of[name] then
    lanes[#lanes + 1] = { user = new.u, queue = new.q, entries = {} }
    fields[#fields + 1] = 'x:' .. name
    lane_of[name] = lanes[#lanes]
  end
  new.lane = lane_of[name]
  tasks[i] = new
end

for i = 1, #lanes do fields[#lanes + i] = 'q:' .. lanes[i].queue end

-- Only where a schedule makes the task.
local tick = V.read_tick and V.read_tick(take)
local refused = V.begin(fields)
if refused then return refused end
refused = tick and V.refuse_tick(tick)
if refused then return { refused } end
for i = 1, #lanes do
  local lane = lanes[i]
  lane.x = V.extra(lane.user, lane.queue, M[i] or '')
  local set = V.queue(M[#lanes + i])
  if set then
    local of = set.users and V.user_settings(call('HGET', N.overrides(lane.queue), lane.user))
    lane.set = of and of.most or set.most
  end
end
for i = 1, #tasks do tasks[i].most = tasks[i].lane.set or tasks[i].most end

-- Which ids are known, and what is counted of their users. All are new nearly always.
local known = {}
for i = 1, #tasks do
  V.want_tally(tasks[i].r.tally)
  V.want_descriptor(tasks[i].r)
end
V.fetch()
for i = 1, #tasks do known[tasks[i].id] = tasks[i].r.d and true or false end

-- Which keys are taken. Modes but 't' and 'h' go by where the task is that has the key.
local owners = {}
local function is_dated(mode) return mode == 't' or mode == 'h' end
if keyed then
  local names = {}
  for i = 1, #tasks do names[#names + 1] = tasks[i].key end
  local values = call('MGET', unpack(names))
  for i = 1, #names do
    local task, hash, expires, queue =
      string.match((values[i] or '') .. '|', '^([^|]+)|(%x+)|(%-?%d+)|([^|]*)')
    if task and tonumber(expires) > now() then
      owners[names[i]] = { t = task, hash = hash, q = queue }
    end
  end
  for i = 1, #tasks do
    local new = tasks[i]
    local owner = owners[new.key]
    if owner and not is_dated(new.mode) then
      owner.r = V.record(new.u, owner.t)
      V.want(owner.r)
    end
  end
  V.fetch()
  for _, owner in pairs(owners) do
    local r = owner.r
    if r then
      -- Only what is queued and untouched has no state.
      local is_there = r.raw or call('EXISTS', r.U .. 'd:' .. r.t) == 1
      owner.waits = is_there and (r.s == 'queued' or r.s == 'scheduled')
      owner.lives = is_there and not V.is_ended(r)
    end
  end
end

-- Whether a key still stands for its task. One accepted by this very call waits.
local function holds(owner, mode)
  if is_dated(mode) or not owner.r then return true end
  if mode == 'd' or mode == 'u' then return owner.lives end
  -- A key that names no queue was read in without its task.
  return owner.waits and (mode ~= 'r' or owner.q ~= '')
end
if dated then
  for i = 1, #tasks do
    local new = tasks[i]
    if new.due and tonumber(new.due) <= now() then new.due = nil end
  end
end

-- Goes through the tasks in order, each for itself; `caps` whether lanes refuse.
local function judge(caps)
  local verdicts, accepted, owned, order, asked = {}, {}, {}, {}, {}
  for i = 1, #lanes do
    local lane = lanes[i]
    lane.entries, lane.h, lane.l, lane.length, lane.goes = {}, nil, nil, nil, false
    lane.taken, lane.freed = 0, 0
  end
  for i = 1, #tasks do
    local new = tasks[i]
    local lane = new.lane
    local owner = new.key and (owned[new.key] or owners[new.key])
    if owner and not holds(owner, new.mode) then owner = nil end
    -- No call has another task of a key that one of its own replaces.
    local old = owner and new.mode == 'r' and owner or nil
    local left = old and lane_of[old.q .. ':' .. new.u]
    new.replaces = nil
    if known[new.id] or accepted[new.id] then
      verdicts[i] = 'e' .. new.t
    elseif owner and not old then
      local same = owner.hash == new.hash or new.mode == 'u' or new.mode == 'h'
      verdicts[i] = (same and 'e' or 'c') .. owner.t
    elseif not V.has_room(new.r.tally, (asked[new.u] or 0) + #new.d, new.room) then
      verdicts[i] = 'b'
    elseif caps and lane.before + lane.taken - lane.freed - (left == lane and 1 or 0) >= new.most then
      verdicts[i] = 'f'
    else
      verdicts[i] = 'a'
      asked[new.u] = (asked[new.u] or 0) + #new.d
      new.replaces = old
      if left then left.freed = left.freed + 1 end
      accepted[new.id] = true
      lane.taken = lane.taken + 1
      lane.most = math.min(lane.most or new.most, new.most)
      if new.key and read(new.ttl) > 0 then owned[new.key] = { t = new.t, hash = new.hash } end
      if not new.due and not new.sk then
        if not lane.goes then order[#order + 1] = lane end
        lane.goes = true
        V.gather_entry(lane, new.t .. ':1:1', new.p)
      end
    end
  end
  return verdicts, order
end

-- Lanes tell their length when something is pushed. So all are pushed as if there were no cap, and
-- what is over it comes off again, which nobody has seen.
local verdicts, order = judge(false)
local full = false
for i = 1, #lanes do
  local lane = lanes[i]
  if lane.taken > 0 then
    V.push(lane)
    lane.before = V.waits_before(lane)
    full = full or lane.before + lane.taken > lane.most
  end
end
if full then
  for i = 1, #lanes do
    local lane = lanes[i]
    -- Whoever is refused may leave a key to one who goes here.
    lane.before = lane.before or V.waits_before(lane)
    V.pull(lane)
  end
  verdicts, order = judge(true)
  for i = 1, #lanes do V.push(lanes[i]) end
end

local index, index_order, due, expiring = {}, {}, {}, {}
local ended = { order = {} }
for i = 1, #tasks do
  local new = tasks[i]
  if verdicts[i] == 'a' then
    V.put(new.name, new.d)
    V.born(new.r, #new.d)
    local list = index[new.u]
    if not list then
      list = {}
      index[new.u] = list
      index_order[#index_order + 1] = new.u
    end
    list[#list + 1] = '0'
    list[#list + 1] = V.indexed(new.t, new.e)
    local old = new.replaces
    if old then
      V.leave_waiting(old.r, old.q)
      V.stop_waiting(old.r, old.q, new.why, new.keep, ended)
    end
    if new.key then V.keep_key(new.key, new.t, new.hash, new.q, V.key_dates(new.ttl)) end
    local r = new.r
    r.c, r.n, r.a, r.x, r.k, r.sk, r.p = 1, 0, 1, new.x, new.k, new.sk, new.p
    if new.p then V.use_priorities(new.q) end
    if new.x then
      expiring[#expiring + 1] = new.x
      expiring[#expiring + 1] = new.id .. ',' .. new.q
      M.ex = M.ex + 1
    end
    if new.due then
      r.s = 'scheduled'
      if new.sk then V.use_lines() end
      V.write(r, at, ',"due":' .. new.due, '', new.event)
      due[#due + 1] = new.due
      due[#due + 1] = new.id .. ',' .. new.q .. ',1,1'
      V.add_scheduled(new.lane.x, 1)
    else
      r.s = 'queued'
      if new.sk then V.enter_line(r, new.q, true) end
      if new.x or new.sk or new.p then V.write(r, at, '', '', new.event) else V.tell(r, at, new.event) end
    end
    if new.stops then V.stop_holder(new.u, new.sk, at) end
  end
end
for i = 1, #index_order do
  local user = index_order[i]
  call('ZADD', N.user(user) .. 'i', unpack(index[user]))
end
if #due > 0 then call('ZADD', DUE, unpack(due)) end
if #expiring > 0 then call('ZADD', UNSTARTED, unpack(expiring)) end
V.list_ended(ended)
local ringed = {}
V.ring(order, ringed)
V.wake_for(ringed)
V.settle_lines()
if tick then V.take_tick(tick, verdicts[1]) end
V.finish()
return verdicts
