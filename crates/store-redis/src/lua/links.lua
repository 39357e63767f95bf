-- links: what ties tasks to each other, and what follows from an end for those who wait for it:
-- dependents go to their lanes or end too, flows and batches count, and a cancelled flow takes its
-- parts along.
--
-- reads:   nothing of its own
-- replies: nothing
-- moves:   waiting -> waiting, waiting -> queued, waiting -> cancelled, waiting -> completed,
--          waiting -> dead, scheduled -> cancelled, queued -> cancelled, dead -> waiting,
--          cancelled -> waiting
--
-- A task's ties: `queue|flow.letter|gather|up|down`, spelled behind the queue as `core` displays them.
-- Read, they are { q, of, oc: how it was counted there or '-', g: { runs, grows, sealed, total,
-- completed, cancelled, dead }, up: { { t, p, told } }, down: { t } }.
--
-- Ends stand in a line and are told once however often they do: each tie says whether it has been.
-- What one call may not tell is kept in the list `leads`, members `user,task`, or `user,task,after`
-- for a cancelled flow whose parts above `after` have yet to be stopped.

local RUNS, GROWS, SEALED, TOTAL = 1, 2, 3, 4
local COUNT_OF = { completed = 5, cancelled = 6, dead = 7 }
local LETTER_OF = { completed = 'c', cancelled = 'x', dead = 'd' }
local STATE_OF = { c = 'completed', x = 'cancelled', d = 'dead' }

-- Those that ended in this call; those that stand in the line, from `head` on.
local overs, line, head
-- How many of `leads` were read, how many of these are told, how many tasks were told in all.
local loaded, popped, led
each_call(function()
  overs, line, head = {}, {}, 1
  loaded, popped, led = false, 0, 0
end)

local function parse(text)
  local q, part, gather, up, down = string.match(text, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  if not q then return false end
  local f = { q = q, up = {}, down = {} }
  f.of, f.oc = string.match(part, '^([^.]+)%.(.)$')
  if gather ~= '' then
    f.g = {}
    for number in string.gmatch(gather, '%d+') do f.g[#f.g + 1] = tonumber(number) end
  end
  for t, p, told in string.gmatch(up, '([^ .]+)%.(%l)%.(%d)') do
    f.up[#f.up + 1] = { t = t, p = p, told = told == '1' }
  end
  for t in string.gmatch(down, '[^ ]+') do f.down[#f.down + 1] = t end
  return f
end

-- The ties of a record that were asked for; false where it has none.
function V.links(r)
  if type(r.f) == 'string' then r.f = parse(r.f) end
  return r.f
end

function V.spell_links(r)
  local f = V.links(r)
  local up = {}
  for i = 1, #f.up do
    local one = f.up[i]
    up[i] = one.t .. '.' .. one.p .. '.' .. (one.told and '1' or '0')
  end
  local gather = {}
  for i = 1, f.g and #f.g or 0 do gather[i] = int(f.g[i]) end
  return f.q .. '|' .. (f.of and f.of .. '.' .. f.oc or '') .. '|' .. table.concat(gather, ',')
    .. '|' .. table.concat(up, ' ') .. '|' .. table.concat(f.down, ' ')
end

local function parts_left(g)
  local ended = g[COUNT_OF.completed] + g[COUNT_OF.cancelled] + g[COUNT_OF.dead]
  return math.max(0, g[TOTAL] - ended) + (g[SEALED] == 1 and 0 or 1)
end

-- How many ends a task still waits for.
function V.pending(f)
  local pending = f.g and parts_left(f.g) or 0
  for i = 1, #f.up do
    if not f.up[i].told then pending = pending + 1 end
  end
  return pending
end

-- How far a flow or batch is, as members of its state.
function V.gather_body(g)
  local ended = g[COUNT_OF.completed] + g[COUNT_OF.cancelled] + g[COUNT_OF.dead]
  return '"p":{"done":' .. int(ended) .. ',"total":' .. int(g[TOTAL]) .. ',"unit":"tasks"}'
end

-- Whether a record whose state was read is of a task that is there.
local function exists(r)
  if r.gone then return false end
  if r.exists == nil then
    r.exists = (r.raw or r.text) and true or call('EXISTS', r.U .. 'd:' .. r.t) == 1
  end
  return r.exists
end
V.exists = exists

-- A task with ties has ended, or any task: whether it has ties is looked at later.
function V.over(r)
  if M.fl > 0 then overs[#overs + 1] = r end
end

-- Puts what ended into the line.
local function stand()
  if #overs == 0 then return end
  for i = 1, #overs do V.want(overs[i], false, true) end
  V.fetch()
  for i = 1, #overs do
    local r = overs[i]
    local f = V.links(r)
    if f then
      line[#line + 1] = { r = r }
      if f.g and r.s == 'cancelled' then line[#line + 1] = { r = r, after = FIRST_ID } end
    end
  end
  overs = {}
end

-- Puts the end of an older task into the line.
function V.stand_again(r)
  line[#line + 1] = { r = r }
end

-- How many ends have yet to be told.
function V.leads_left()
  local here = 0
  for i = head, #line do
    if not line[i].stored then here = here + 1 end
  end
  return M.ld - popped + here
end

-- A waiting task goes on waiting, for what its ties say now, or to its lane.
function V.waits_less(r, body, ringed)
  local f = V.links(r)
  local pending = V.pending(f)
  r.n = r.n + 1
  if pending > 0 then
    r.on = int(pending)
    V.write(r, int(now()), ',"on":' .. r.on, body, body)
  else
    r.s = 'queued'
    V.add_scheduled(V.extra(r.u, f.q), -1)
    V.wait_in(r, f.q, true, ringed)
    V.write(r, int(now()), '', body, body)
  end
end

-- A flow or batch whose numbers have changed goes on waiting, runs, or ends.
function V.gathered(r, ringed, ended)
  local f = V.links(r)
  if not f or not f.g or r.s ~= 'waiting' then return end
  local body = V.gather_body(f.g)
  if parts_left(f.g) > 0 or f.g[RUNS] == 1 then return V.waits_less(r, body, ringed) end
  V.leave_waiting(r, f.q)
  V.drop_expiry(r, f.q)
  local state, keep = 'completed', KEEP_COMPLETED_S
  if f.g[COUNT_OF.cancelled] > 0 then state, keep = 'cancelled', KEEP_CANCELLED_S end
  if f.g[COUNT_OF.dead] > 0 then state, keep = 'dead', KEEP_DEAD_S end
  r.s, r.n = state, V.counted(r.n, r.n + 1)
  if state ~= 'completed' then body = body .. ',"why":"parts"' end
  V.add_ended(ended, int(keep), r, r.c)
  V.write(r, int(now()), '', body, body)
  V.over(r)
end

-- Tells one dependent that `of` ended in `state`.
function V.tell_one(child, of, state, ringed, ended)
  local f = V.links(child)
  if not f then return end
  for i = 1, #f.up do
    local up = f.up[i]
    if up.t == of and not up.told then
      up.told = true
      V.keep_links(child)
      if child.s ~= 'waiting' then return end
      if state == 'completed' or up.p ~= 'f' then
        V.waits_less(child, '', ringed)
      else
        local body = '"why":"upstream","of":"' .. of .. '"'
        V.leave_waiting(child, f.q)
        V.stop_waiting(child, f.q, body, int(KEEP_CANCELLED_S), ended)
      end
      return
    end
  end
end

-- Tells an end to the flow that the task is a part of, and to those who wait for it.
local function tell(r, ringed, ended)
  local f = V.links(r)
  -- One that was sent back since has not ended.
  if not f or not V.is_ended(r) then return end
  if f.of and f.oc == '-' then
    f.oc = LETTER_OF[r.s]
    V.keep_links(r)
    local flow = V.record(r.u, f.of)
    local of = V.links(flow)
    if of and of.g then
      of.g[COUNT_OF[r.s]] = of.g[COUNT_OF[r.s]] + 1
      V.keep_links(flow)
      V.gathered(flow, ringed, ended)
    end
  end
  for i = 1, #f.down do V.tell_one(V.record(r.u, f.down[i]), r.t, r.s, ringed, ended) end
end

-- Stops parts of a flow that was cancelled: those above `after`, as many as one turn may.
local function take_along(entry, ended)
  local flow, parts = entry.r, entry.parts
  -- One that waits again since some of its parts were sent back lets them be.
  if flow.s ~= 'cancelled' then return end
  for i = 1, #parts do
    local r = V.record(flow.u, parts[i])
    local f = V.links(r)
    if f and r.s == 'running' then
      V.ask_to_stop(r, f.q, int(now()))
    elseif f and exists(r) and (r.s == 'scheduled' or r.s == 'queued' or r.s == 'waiting') then
      local body = '"why":"flow_cancelled","of":"' .. flow.t .. '"'
      V.leave_waiting(r, f.q)
      V.stop_waiting(r, f.q, body, int(KEEP_CANCELLED_S), ended)
    end
  end
  stand()
  if #parts == CASCADE_MAX then line[#line + 1] = { r = flow, after = parts[#parts] } end
end

-- Reads what leads from the head of the line on need, as far as this call may tell; how far that is.
local function look_ahead()
  local last, cost = head, led
  for i = head, math.min(#line, head + LEAD_MAX - 1) do V.want(line[i].r, false, true) end
  V.fetch()
  while line[last] do
    local entry = line[last]
    local r = entry.r
    local f = V.links(r)
    entry.cost = 1
    if f and V.is_ended(r) then entry.cost = entry.after and CASCADE_MAX or 1 + #f.down end
    if cost > 0 and cost + entry.cost > LEAD_MAX then break end
    cost = cost + entry.cost
    if f and V.is_ended(r) then
      if entry.after then
        local from = '(' .. entry.after
        entry.parts = call('ZRANGE', N.parts(r.u, r.t), from, '+', 'BYLEX', 'LIMIT', 0, CASCADE_MAX)
        for i = 1, #entry.parts do V.want(V.record(r.u, entry.parts[i]), false, true) end
      else
        if f.of then V.want(V.record(r.u, f.of), false, true) end
        for i = 1, #f.down do V.want(V.record(r.u, f.down[i]), false, true) end
      end
    end
    last = last + 1
  end
  V.fetch()
  return last - 1
end

-- Tells the ends that stand in the line, as many as this call may.
function V.lead_on()
  if M.fl <= 0 and M.ld <= 0 then return end
  stand()
  if M.ld > 0 and not loaded then
    loaded = true
    local members, all = call('LRANGE', LEADS, 0, LEAD_MAX - 1), {}
    for i = 1, #members do
      local user, task, after = string.match(members[i] .. ',', '^([^,]+),([^,]+),([^,]*)')
      if after == '' then after = nil end
      all[i] = { r = V.record(user or '', task or ''), after = after, stored = true }
    end
    for i = head, #line do all[#all + 1] = line[i] end
    line, head = all, 1
  end
  local ringed, ended, full = {}, { order = {} }, false
  while line[head] and not full do
    local last = look_ahead()
    full = last < head
    while head <= last do
      local entry = line[head]
      head = head + 1
      led = led + entry.cost
      if entry.stored then popped = popped + 1 end
      if not entry.after then
        tell(entry.r, ringed, ended)
      elseif entry.parts then
        take_along(entry, ended)
      end
      stand()
    end
  end
  V.list_ended(ended)
  V.wake_for(ringed)
end

-- Keeps what could not be told.
function V.keep_leads()
  if popped > 0 then call('LPOP', LEADS, popped) end
  local rest = {}
  for i = head, #line do
    local entry = line[i]
    if not entry.stored then
      rest[#rest + 1] = entry.r.id .. (entry.after and ',' .. entry.after or '')
    end
  end
  for i = 1, #rest, UNPACK_MAX do
    call('RPUSH', LEADS, unpack(rest, i, math.min(i + UNPACK_MAX - 1, #rest)))
  end
  M.ld = M.ld - popped + #rest
  popped = 0
end

-- Takes the ends of a user's tasks out of the line.
function V.forget_leads(user)
  if M.ld == 0 then return end
  local rest, theirs = {}, user .. ','
  local members = call('LRANGE', LEADS, 0, -1)
  for i = 1, #members do
    if string.sub(members[i], 1, #theirs) ~= theirs then rest[#rest + 1] = members[i] end
  end
  if #rest == #members then return end
  call('UNLINK', LEADS)
  for i = 1, #rest, UNPACK_MAX do
    call('RPUSH', LEADS, unpack(rest, i, math.min(i + UNPACK_MAX - 1, #rest)))
  end
  M.ld = #rest
end

-- Lets go of the ties of a record that is gone: their keys go to `names`, and `untied` is for
-- `V.untie`.
function V.drop_links(r, names, untied)
  local f = V.links(r)
  names[#names + 1] = r.U .. 'f:' .. r.t
  if f and f.g then names[#names + 1] = N.parts(r.u, r.t) end
  untied[#untied + 1] = r
end

function V.untie(untied)
  if #untied == 0 then return end
  local nodes, parts, order = {}, {}, {}
  for i = 1, #untied do
    local r = untied[i]
    local f = V.links(r)
    nodes[i] = r.id
    if f and f.of then
      local name = N.parts(r.u, f.of)
      if not parts[name] then
        parts[name] = {}
        order[#order + 1] = name
      end
      table.insert(parts[name], r.t)
    end
  end
  M.fl = M.fl - call('SREM', NODES, unpack(nodes))
  for i = 1, #order do call('ZREM', order[i], unpack(parts[order[i]])) end
end

-- Reads what `V.wait_again` needs of the tasks that control names.
function V.want_ties(list)
  if M.fl <= 0 then return end
  for i = 1, #list do V.want(list[i].r, false, true) end
  V.fetch()
  for i = 1, #list do
    local r = list[i].r
    local f = V.links(r)
    if f then
      if f.of then V.want(V.record(r.u, f.of), false, true) end
      for j = 1, #f.up do V.want(V.record(r.u, f.up[j].t)) end
    end
  end
  V.fetch()
end

-- Prepares the ties of a task that is to be sent back; how many ends it waits for now. Nothing if it
-- may not go back: one that it waits for failed, or it ends with its parts and these must go back.
function V.wait_again(r, at)
  local f = M.fl > 0 and V.links(r)
  if not f then return 0 end
  if f.g and f.g[RUNS] == 0 then return nil end
  local told = {}
  for i = 1, #f.up do
    local up = f.up[i]
    local parent = V.record(r.u, up.t)
    told[i] = true
    if exists(parent) and parent.s ~= 'completed' then
      if not V.is_ended(parent) then
        told[i] = false
      elseif up.p == 'f' then
        return nil
      end
    end
  end
  for i = 1, #told do f.up[i].told = told[i] end
  local state = f.of and STATE_OF[f.oc]
  if f.of then f.oc = '-' end
  V.keep_links(r)
  local pending = V.pending(f)
  local flow = state and V.record(r.u, f.of)
  local of = flow and V.links(flow)
  if of and of.g then
    of.g[COUNT_OF[state]] = math.max(0, of.g[COUNT_OF[state]] - 1)
    V.keep_links(flow)
    if flow.s == 'waiting' then
      flow.n = flow.n + 1
    elseif V.is_ended(flow) and of.g[RUNS] == 0 then
      -- What ended with its parts waits for this one again.
      flow.s, flow.c, flow.n = 'waiting', flow.c + 1, 0
      V.add_scheduled(V.extra(flow.u, of.q), 1)
    else
      return pending
    end
    local body = V.gather_body(of.g)
    V.write(flow, at, ',"on":' .. int(parts_left(of.g)), body, body)
  end
  return pending
end
