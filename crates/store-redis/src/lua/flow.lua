-- flow: accept tasks that wait for each other, all of them or none.
--
-- reads:   ARGV[3] at_ms, user; a count and tasks: id,
--          queue, due_ms or '', descriptor, what lists find it by, event members, lane_max, the most
--          bytes where none is set of the user, 'h', 'l' or '', expires_ms or '', followed by
--          keep_s if it expires, '' or a serial key followed by '1' to ask who holds it to stop, the flow it is a part of or '', what it gathers: '', 'f' a flow,
--          'b' a batch or 'r' a batch that runs; a count and tasks that it waits for: id, letter
-- replies: one text per task: 'done', or '-' and why it was refused
-- moves:   nothing -> waiting, nothing -> queued, nothing -> scheduled

local GATHERS = { f = { 0, 1, 1, 0, 0, 0, 0 }, b = { 0, 0, 0, 0, 0, 0, 0 }, r = { 1, 0, 0, 0, 0, 0, 0 } }
local at, user = take(), take()
local nodes, names, fields, lanes, lane_of = {}, {}, {}, {}, {}
for i = 1, tonumber(take()) do
  local new = { t = take(), q = take(), due = take(), d = take(), e = take(), event = take() }
  new.most, new.room, new.p, new.x = read(take()), read(take()), take(), take()
  if new.p == '' then new.p = nil end
  if new.x == '' then new.x = nil else new.k = take() end
  new.sk = take()
  if new.sk == '' then new.sk = nil else new.stops = take() == '1' end
  new.of, new.gathers = take(), GATHERS[take()]
  if new.of == '' then new.of = nil end
  new.after = {}
  for j = 1, tonumber(take()) do new.after[j] = { t = take(), p = take(), told = false } end
  names[i] = N.user(user) .. 'd:' .. new.t
  if not lane_of[new.q] then
    lanes[#lanes + 1] = { user = user, queue = new.q, entries = {}, more = 0 }
    fields[#fields + 1] = 'x:' .. new.q .. ':' .. user
    lane_of[new.q] = lanes[#lanes]
  end
  new.lane = lane_of[new.q]
  nodes[i] = new
end

for i = 1, #lanes do fields[#lanes + i] = 'q:' .. lanes[i].queue end
local refused = V.begin(fields)
if refused then return refused end
local answers = {}
local known = call('EXISTS', unpack(names))
if known == #nodes then
  -- The same call once more.
  for i = 1, #nodes do answers[i] = 'done' end
  return answers
end

-- Older tasks that this is about. One that is named before it stands here is among them, and not
-- there yet.
local here, older = {}, {}
for i = 1, #nodes do
  local new = nodes[i]
  local function meet(t)
    if t and not here[t] and not older[t] then
      older[t] = V.record(user, t)
      V.want(older[t], false, true)
    end
  end
  meet(new.of)
  for j = 1, #new.after do meet(new.after[j].t) end
  here[new.t] = true
end
V.want_tally(V.tally(user))
V.fetch()

for i = 1, #lanes do
  local lane = lanes[i]
  lane.x = V.extra(user, lane.queue, M[i] or '')
  local set = V.queue(M[#lanes + i])
  if set then
    local of = set.users and V.user_settings(call('HGET', N.overrides(lane.queue), user))
    lane.set = of and of.most or set.most
  end
  lane.before = V.waits_before(lane)
end

local met, downs, parts = {}, {}, {}
local tally, bytes = V.tally(user), 0
local function judge(new, name)
  if met[new.t] or (known > 0 and call('EXISTS', name) == 1) then return 'exists' end
  if new.of then
    local flow = met[new.of]
    if flow then
      if not flow.gathers then return 'no_flow' end
    else
      local r = older[new.of]
      local f = V.links(r)
      if not f or not f.g then return 'no_flow' end
      parts[new.of] = (parts[new.of] or 0) + 1
      local takes = r.s == 'waiting' and (f.g[2] == 1 or f.g[3] == 0)
      if not takes or f.g[4] + parts[new.of] > PARTS_MAX then return 'closed' end
    end
  end
  for i = 1, #new.after do
    local t = new.after[i].t
    local flow, count = nil, 0
    if met[t] then
      flow = met[t].of
    else
      local r = older[t]
      if not r or not V.exists(r) then return 'no_task' end
      local f = V.links(r)
      if f then flow, count = f.of, #f.down end
    end
    if new.of and flow ~= new.of then return 'outside' end
    downs[t] = (downs[t] or count) + 1
    if downs[t] > LINKS_MAX then return 'links_full' end
  end
  local lane = new.lane
  lane.more = lane.more + 1
  if lane.before + lane.more > (lane.set or new.most) then return 'lane_full' end
  bytes = bytes + #new.d
  if not V.has_room(tally, bytes, new.room) then return 'bytes_full' end
end
local wrong = false
for i = 1, #nodes do
  local why = judge(nodes[i], names[i])
  wrong = wrong or why ~= nil
  answers[i] = '-' .. (why or 'withheld')
  met[nodes[i].t] = nodes[i]
end
if wrong then return answers end

-- From here on nothing is refused.
local touched, index, tied, members, of_order, of_parts = {}, {}, {}, {}, {}, {}
local function touch(t)
  if older[t] and not older[t].touched then
    older[t].touched = true
    touched[#touched + 1] = older[t]
  end
end
for i = 1, #nodes do
  local new = nodes[i]
  local r = V.record(user, new.t)
  new.r = r
  r.known, r.exists, r.s, r.c, r.n, r.a, r.x, r.k, r.sk, r.p =
    true, true, 'waiting', 1, 0, 1, new.x, new.k, new.sk, new.p
  r.f = { q = new.q, of = new.of, oc = '-', up = new.after, down = {} }
  if new.gathers then r.f.g = { unpack(new.gathers) } end
  if new.of then
    local g = V.links(V.record(user, new.of)).g
    g[4] = g[4] + 1
    touch(new.of)
    if not of_parts[new.of] then
      of_parts[new.of] = {}
      of_order[#of_order + 1] = new.of
    end
    table.insert(of_parts[new.of], '0')
    table.insert(of_parts[new.of], new.t)
  end
  for j = 1, #new.after do
    local parent = V.record(user, new.after[j].t)
    if not V.links(parent) then parent.f = { q = '', up = {}, down = {} } end
    table.insert(parent.f.down, new.t)
    touch(parent.t)
  end
  V.put(names[i], new.d)
  V.born(r, #new.d)
  index[#index + 1] = '0'
  index[#index + 1] = V.indexed(new.t, new.e)
end

local order, due, expiring = {}, {}, {}
for i = 1, #nodes do
  local new, r = nodes[i], nodes[i].r
  local f = r.f
  local pending = V.pending(f)
  if f.of or f.g or #f.up > 0 or #f.down > 0 then
    V.keep_links(r)
    members[#members + 1] = r.id
  else
    r.f = false
  end
  local body = f.g and V.gather_body(f.g) or ''
  local told = new.event
  if body ~= '' then told = told == '' and body or told .. ',' .. body end
  if new.x then
    expiring[#expiring + 1] = new.x
    expiring[#expiring + 1] = r.id .. ',' .. new.q
    M.ex = M.ex + 1
  end
  if new.sk then V.use_lines() end
  if new.p then V.use_priorities(new.q) end
  if pending > 0 then
    V.add_scheduled(new.lane.x, 1)
    V.write(r, at, ',"on":' .. int(pending), body, told)
  elseif new.due ~= '' and tonumber(new.due) > now() then
    r.s = 'scheduled'
    due[#due + 1] = new.due
    due[#due + 1] = r.id .. ',' .. new.q .. ',1,1'
    V.add_scheduled(new.lane.x, 1)
    V.write(r, at, ',"due":' .. new.due, body, told)
  else
    r.s = 'queued'
    if new.sk then
      V.enter_line(r, new.q, true)
    else
      if not new.lane.goes then order[#order + 1] = new.lane end
      new.lane.goes = true
      V.gather_entry(new.lane, V.entry(new.t, 1, 1), new.p)
    end
    if new.x or new.sk or new.p then V.write(r, at, '', body, told) else V.tell(r, at, told) end
  end
  if new.stops then V.stop_holder(user, new.sk, at) end
  answers[i] = 'done'
end
for i = 1, #touched do
  V.keep_links(touched[i])
  members[#members + 1] = touched[i].id
end
call('ZADD', N.user(user) .. 'i', unpack(index))
for i = 1, #of_order do call('ZADD', N.parts(user, of_order[i]), unpack(of_parts[of_order[i]])) end
for i = 1, #members, UNPACK_MAX do
  M.fl = M.fl + call('SADD', NODES, unpack(members, i, math.min(i + UNPACK_MAX - 1, #members)))
end
if #due > 0 then call('ZADD', DUE, unpack(due)) end
if #expiring > 0 then call('ZADD', UNSTARTED, unpack(expiring)) end
local ringed, ended = {}, { order = {} }
for i = 1, #order do V.push(order[i]) end
V.ring(order, ringed)
for i = 1, #touched do
  local r = touched[i]
  if V.is_ended(r) then V.stand_again(r) else V.gathered(r, ringed, ended) end
end
V.list_ended(ended)
V.wake_for(ringed)
V.lead_on()
V.settle_lines()
V.finish()
return answers
