-- report: what holders say, each fenced by its lease.
--
-- reads:   a count and operations: verb, lease token, then
--          'h' heartbeat: nothing
--          'p' progress: n, body
--          'l' log: a count and lines
--          'e' end: state, n, body, '' or '='event, keep_s, and if dead what its error is called
--          'g' give back: counted '1' or '', due_ms or '' for the front at once, body,
--              '' or '='event, keep_s should a cancellation have come first, n then,
--              '' or '='attempt
-- replies: indexes of those whose lease is not held; leases that should stop
-- moves:   running -> completed, running -> cancelled, running -> dead, running -> scheduled,
--          running -> queued

local ENDS = { e = true, g = true }

-- What is written when the records have been read, in order.
local pending
each_call(function() pending = {} end)

function V.read_ops(take)
  local ops = {}
  for i = 1, read(take()) do
    local verb, token = take_some(2)
    local queue, user, task, attempt, claim =
      match(token, '^([^|]+)|([^|]+)|([^|]+)|(%d+)|(%d+)|')
    attempt, claim = read(attempt), read(claim)
    local op
    -- Each is made with all its fields at once: a table that grows is dear.
    if verb == 'e' then
      local state, n, body, event, keep = take_some(5)
      op = {
        v = verb, k = token, q = queue, u = user, t = task, a = attempt, c = claim,
        s = state, n = read(n), body = body, event = event, keep = keep, r = nil,
        e = state == 'dead' and take(),
      }
    else
      op = { v = verb, k = token, q = queue, u = user, t = task, a = attempt, c = claim }
      if verb == 'p' then
        op.n, op.body, op.w = read(take()), take(), match(token, '([^|]*)$')
      elseif verb == 'l' then
        op.lines = {}
        for j = 1, tonumber(take()) do op.lines[j] = take() end
      elseif verb == 'g' then
        op.counted, op.due, op.body, op.event = take() == '1', take(), take(), take()
        op.keep, op.n, op.attempt = take(), read(take()), take()
      end
    end
    if op.event then op.event = op.event == '' and op.body or string.sub(op.event, 2) end
    ops[i] = op
  end
  return ops
end

local function add_lines(r, lines)
  if #lines == 0 then return end
  local first
  for i = 1, #lines do
    local id = call('XADD', r.U .. 'o:' .. r.t, 'MAXLEN', LOG_LINES_MAX, '0-*', 'l', lines[i])
    first = first or string.sub(id, 3)
  end
  V.pass(r.u, '{"t":"' .. r.t .. '","log":{"first":' .. first .. ',"lines":['
    .. table.concat(lines, ',') .. ']}}')
end

-- Whose cancellation was asked, by `user,task`.
local function marks(ops)
  local marked, names = {}, {}
  if M.cx == 0 then return marked end
  for i = 1, #ops do names[i] = ops[i].u .. ',' .. ops[i].t end
  local answers = call('SMISMEMBER', CANCELS, unpack(names))
  for i = 1, #names do marked[names[i]] = answers[i] == 1 end
  return marked
end

function V.report(ops, lease_ms, cancelled)
  local refused = {}
  if #ops == 0 then return refused end
  local held
  local only = #ops == 1 and ENDS[ops[1].v]
  if handed then
    held = handed.held
  elseif only then
    held = { call('ZREM', LEASES, ops[1].k) == 1 }
  else
    local tokens = {}
    for i = 1, #ops do tokens[i] = ops[i].k end
    held = call('ZMSCORE', LEASES, unpack(tokens))
  end
  local marked = marks(ops)
  -- What is given back goes into the list of its priority, which its state tells.
  for i = 1, #ops do
    local op = ops[i]
    if op.v == 'g' and held[i] and V.has_priorities(op.q) then V.want(V.record(op.u, op.t)) end
  end
  V.fetch()
  local until_lt = lease_time() + lease_ms
  local over, remove, renew, unmark, heard = {}, {}, {}, {}, {}
  local ended = { order = {} }
  for i = 1, #ops do
    local op = ops[i]
    if not held[i] or over[op.k] then
      refused[#refused + 1] = i - 1
    else
      local r = V.record(op.u, op.t)
      local asked = marked[r.id]
      op.r = r
      if op.v == 'h' then
        renew[op.k] = true
      elseif op.v == 'p' then
        renew[op.k] = true
        V.want(r)
        pending[#pending + 1] = op
      elseif op.v == 'l' then
        add_lines(r, op.lines)
      else
        -- From here on a task that is given back would live on. An accepted cancellation must
        -- stick.
        if op.v == 'g' and asked then op.v, op.s = 'e', 'cancelled' end
        over[op.k] = true
        remove[#remove + 1] = op.k
        V.leaves(op.q, op.u)
        V.spent(op.q, op.u, op.t)
        if asked then
          unmark[#unmark + 1] = r.id
          marked[r.id] = false
        end
        pending[#pending + 1] = op
        if op.v == 'e' then
          V.want(r, false, M.fl > 0)
          V.add_ended(ended, op.keep, r, op.c)
        else
          V.want(r)
          if op.attempt ~= '' then V.add_attempt(r, string.sub(op.attempt, 2)) end
          local ringed = {}
          op.a = op.counted and op.a + 1 or op.a
          op.c = op.c + 1
          if op.due ~= '' and tonumber(op.due) > now() then
            call('ZADD', DUE, op.due, r.id .. ',' .. op.q .. ',' .. int(op.a) .. ',' .. int(op.c))
            V.add_scheduled(V.extra(op.u, op.q), 1)
          else
            V.enter(op.u, op.q, V.entry(op.t, op.a, op.c), op.due ~= '', ringed, r.p)
            op.due = ''
          end
          V.wake_for(ringed)
        end
      end
      if asked and not over[op.k] and not heard[op.k] then
        heard[op.k] = true
        cancelled[#cancelled + 1] = op.k
      end
    end
  end
  if #remove > 0 and not (only or handed) then call('ZREM', LEASES, unpack(remove)) end
  local scores = {}
  for i = 1, #ops do
    local token = ops[i].k
    if renew[token] and not over[token] then
      renew[token] = nil
      scores[#scores + 1] = int(until_lt)
      scores[#scores + 1] = token
    end
  end
  -- A late message never shortens a lease.
  if #scores > 0 then call('ZADD', LEASES, 'GT', unpack(scores)) end
  if #unmark > 0 then M.cx = M.cx - call('SREM', CANCELS, unpack(unmark)) end
  V.list_ended(ended)
  V.make_room()
  return refused
end

-- Writes what the reports said, once their records have been read.
function V.settle()
  local at = #pending > 0 and int(now())
  for i = 1, #pending do
    local op = pending[i]
    local r = op.r
    local before = r.c == op.c and r.n or 0
    r.c, r.a = op.c, op.a
    if op.v == 'p' then
      r.s, r.n, r.w = 'running', V.counted(before, op.n), op.w
      V.write(r, at, ',"w":"' .. op.w .. '"', op.body, op.body, true)
    elseif op.v == 'e' then
      if r.sk then V.leave_line(r, op.q) end
      r.s, r.n, r.e = op.s, V.counted(before, op.n), op.e or ''
      V.write(r, at, '', op.body, op.event)
      if M.fl > 0 then V.over(r) end
    else
      r.n = 0
      r.s = op.due == '' and 'queued' or 'scheduled'
      V.write(r, at, op.due ~= '' and ',"due":' .. op.due or '', op.body, op.event)
    end
  end
  pending = {}
end
