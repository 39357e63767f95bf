-- record: the states that a call looks at and changes, read in few commands and written in one.
--
-- reads:   nothing of its own
-- replies: nothing
-- moves:   nothing; it spells what the verbs decide
--
-- A record `r`: u user, t task, U the user's prefix, d the descriptor, raw the state as it was
-- read, text the state to be written, gone if it was swept; s state, was the one it had when it was
-- read, c claim number, n writes on it, a attempt, w holder; p its priority, 'h' or 'l', if it has one;
-- sk its serial key; e what its error is called, where that is known; x when it expires and k how long
-- it is kept then, texts, while it waits and nobody ever took it; f its ties as they were read, see
-- links; had, had_bytes as what it is counted in its user's tally. Texts are never decoded: only their
-- fixed beginning is looked at.

-- From so many users on, one question who listens costs less than telling those who do not.
local ASKED_MIN = 3
-- Of nobody it is known that they have no listeners.
local NONE = {}
local records, wanted, dirty
-- Names and texts that are written when the call ends.
local puts
local logs, log_order, passing
-- Records whose ties have changed.
local tied
-- What leaves the lists of states.
local unlisted
each_call(function()
  records, wanted, dirty, puts = {}, {}, {}, {}
  logs, log_order, passing = {}, {}, {}
  tied, unlisted = {}, {}
end)

function V.record(user, task)
  local id = user .. ',' .. task
  local r = records[id]
  if not r then
    local tally = V.tally(user)
    local prefix = tally.U
    -- Made with the fields that it gets, later ones too: a table that grows is dear.
    r = {
      u = user, t = task, U = prefix, id = id, name = prefix .. 't:' .. task, tally = tally,
      known = false, raw = nil, s = nil, was = nil, c = nil, n = nil, a = nil, text = nil, had = nil,
      had_bytes = nil, asked = nil, asked_d = nil, d = nil, exists = nil, w = nil,
    }
    records[id] = r
  end
  return r
end

-- Asks for a user's tally with the next `V.fetch`.
function V.want_tally(tally)
  if tally.asked then return end
  tally.asked = true
  wanted[#wanted + 1] = tally
  wanted[#wanted + 1] = 'n'
end

-- Asks for a record's descriptor with the next `V.fetch`.
function V.want_descriptor(r)
  if r.d ~= nil or r.asked_d then return end
  r.asked_d = true
  wanted[#wanted + 1] = r
  wanted[#wanted + 1] = 'd'
end

-- Asks for a record's state, and its descriptor or its ties, with the next `V.fetch`.
function V.want(r, descriptor, links)
  if not r.known and not r.asked then
    r.asked = true
    wanted[#wanted + 1] = r
    wanted[#wanted + 1] = 't'
    V.want_tally(r.tally)
  end
  if descriptor then V.want_descriptor(r) end
  if links and r.f == nil and not r.asked_f then
    r.asked_f = true
    wanted[#wanted + 1] = r
    wanted[#wanted + 1] = 'f'
  end
end

local function parse(r, raw)
  r.known = true
  r.raw = raw
  if not raw then
    r.was, r.s, r.c, r.n, r.a = 'queued', 'queued', 1, 0, 1
    r.had, r.had_bytes = r.s, 0
    return
  end
  local s, c, n, a, rest =
    string.match(raw, '^{"s":"(%l+)","c":(%d+),"n":(%d+),"at":%-?%d+,"a":(%d+)()')
  if not s then
    -- Few tasks expire, have a priority or a serial key. These stand before `a`: behind it
    -- anybody's members may stand.
    local more
    s, c, n, more, a, rest = string.match(raw,
      '^{"s":"(%l+)","c":(%d+),"n":(%d+),"at":%-?%d+([%w":,%-]-),"a":(%d+)()')
    r.x, r.k = string.match(more or '', '^,"exp":(%-?%d+),"keep":(%d+)')
    r.p = string.match(more or '', ',"pr":"(%l)"')
    r.sk = string.match(more or '', ',"sk":"(%x+)"$')
  end
  if not s then
    r.s, r.c, r.n, r.a = '', 0, 0, 0
    r.had, r.had_bytes = '', 0
    return
  end
  r.was, r.s, r.c, r.n, r.a = s, s, read(c), read(n), read(a)
  r.had, r.had_bytes = s, ENDED[s] and #raw or 0
  if s == 'waiting' then r.on = string.match(raw, '^,"on":(%d+)', rest) end
  if s == 'scheduled' then r.due = string.match(raw, '^,"due":(%-?%d+)', rest) end
end

-- Who holds the task of a record that runs: `worker.call`.
function V.holder(r)
  if not r.w and r.raw then r.w = match(r.raw, '^[%w{":,%-]-,"a":%d+,"w":"([%w_%-]+%.%d+)"') end
  return r.w or ''
end

-- Reads all that is wanted.
function V.fetch()
  local at = 1
  while at <= #wanted do
    local names, last = {}, math.min(at + 2 * UNPACK_MAX, #wanted + 1) - 2
    for i = at, last, 2 do
      local r, letter = wanted[i], wanted[i + 1]
      local named = letter == 't' or letter == 'n'
      names[#names + 1] = named and r.name or r.U .. letter .. ':' .. r.t
    end
    local texts = call('MGET', unpack(names))
    for i = at, last, 2 do
      local r, text = wanted[i], texts[(i - at) / 2 + 1]
      local letter = wanted[i + 1]
      if letter == 't' then
        parse(r, text)
      elseif letter == 'n' then
        V.read_tally(r, text)
      else
        r[letter] = text
      end
    end
    at = last + 2
  end
  wanted = {}
end

-- The members of a state that the engine writes, without braces.
local function spell(r, at, more)
  local expires = r.x and ',"exp":' .. r.x .. ',"keep":' .. r.k or ''
  local priority = r.p and ',"pr":"' .. r.p .. '"' or ''
  local serial = r.sk and ',"sk":"' .. r.sk .. '"' or ''
  return '"s":"' .. r.s .. '","c":' .. int(r.c) .. ',"n":' .. int(r.n) .. ',"at":' .. at .. expires
    .. priority .. serial .. ',"a":' .. int(r.a) .. more
end

function V.emit(user, json)
  local list = logs[user]
  if not list then
    list = {}
    logs[user] = list
    log_order[#log_order + 1] = user
  end
  list[#list + 1] = json
end

-- Tells listeners of `user` something that is not logged.
function V.pass(user, json)
  passing[#passing + 1] = user
  passing[#passing + 1] = json
end

-- Logs the event of a state that has no text of its own: queued and untouched.
function V.tell(r, at, body)
  local head = '{"t":"' .. r.t .. '",' .. spell(r, at, '')
  V.emit(r.u, body == '' and head .. '}' or head .. ',' .. body .. '}')
end

-- Writes a record's state with the engine's `more` and the holder's `body`, and tells of it:
-- logged with `event`, or passing.
function V.write(r, at, more, body, event, unlogged)
  local head = spell(r, at, more)
  if r.text == nil then dirty[#dirty + 1] = r end
  r.known = true
  local told
  if body == '' then r.text = '{' .. head .. '}' else r.text = '{' .. head .. ',' .. body .. '}' end
  V.counted_as(r)
  if event == '' then
    told = '{"t":"' .. r.t .. '",' .. head .. '}'
  else
    told = '{"t":"' .. r.t .. '",' .. head .. ',' .. event .. '}'
  end
  if unlogged then V.pass(r.u, told) else V.emit(r.u, told) end
end

-- The count of writes on a claim after one that says `said`.
function V.counted(before, said)
  local n = before + 1
  if said > n then n = said end
  if n > N_MAX then n = N_MAX end
  return n
end

-- Whether a record's task has ended and waits only for its retention.
function V.is_ended(r) return ENDED[r.s] == true end

-- Which users have no listeners, by place: one command less for each of them. It may not fail: without
-- an answer all may have some. Users are names, or tables with a `field` that is theirs.
function V.unheard(users, field)
  if #users < ASKED_MIN or #users > UNPACK_MAX then return NONE end
  local unheard, channels = {}, {}
  for i = 1, #users do channels[i] = N.channel(field and users[i][field] or users[i]) end
  local counts = pcall('PUBSUB', 'SHARDNUMSUB', unpack(channels))
  for i = 1, #users do unheard[i] = counts[2 * i] == 0 end
  return unheard
end

-- Puts an entry into a user's log and tells listeners. It must not fail: all else is written.
local function add(name, json)
  return pcall('XADD', name, 'MAXLEN', '~', int(EVENTS_KEPT_MAX), int(M.epoch) .. '-*', 'e', json)
end
function V.log(user, json, unheard)
  local name = N.user(user) .. 'e'
  local id = add(name, json)
  if type(id) ~= 'string' then
    -- The log is of a later life than `meta`, which was lost then: go on in one after both.
    local about = pcall('XINFO', 'STREAM', name)
    for i = 1, #about, 2 do
      if about[i] == 'last-generated-id' then
        M.epoch = tonumber(string.match(about[i + 1], '^%d+')) + 1
      end
    end
    call('HSET', META, 'epoch', int(M.epoch))
    id = add(name, json)
  end
  if type(id) ~= 'string' or unheard then return end
  local seq = string.match(id, '%-(%d+)$') + 1
  call('SPUBLISH', N.channel(user), int(M.epoch) .. '-' .. int(seq) .. json)
end

-- Has a key written when the call ends.
function V.put(name, text)
  puts[#puts + 1] = name
  puts[#puts + 1] = text
end

-- Has the ties of a record written when the call ends.
function V.keep_links(r)
  if not r.tied then
    r.tied = true
    tied[#tied + 1] = r
  end
end

-- What a list of a user's tasks holds of one: its id, and behind it what a search finds it by. Without
-- that a search looks at the task itself.
function V.indexed(task, words)
  return words == '' and task or task .. '\n' .. words
end

-- Adds a word to the list of what is done to a key with one command.
local function gather(lists, name, word)
  local list = lists[name]
  if not list then
    list = {}
    lists[name] = list
    lists[#lists + 1] = name
  end
  list[#list + 1] = word
end

local function carry_out(verb, lists)
  for i = 1, #lists do
    local list = lists[lists[i]]
    for at = 1, #list, UNPACK_MAX do
      call(verb, lists[i], unpack(list, at, math.min(at + UNPACK_MAX - 1, #list)))
    end
  end
end

-- Takes a task out of the list of those in the state it was in.
function V.unlist_state(r)
  local name = r.U .. 's:' .. r.was
  if r.was == 'dead' then
    call('ZREMRANGEBYLEX', name, '[' .. r.t, '[' .. r.t .. '\255')
  else
    gather(unlisted, name, r.t)
  end
end

-- Lists of tasks in states that few are in. One that was not read was in none of these.
local function keep_listed()
  local lists = {}
  for i = 1, #dirty do
    local r = dirty[i]
    if r.s ~= r.was and not r.gone then
      if LISTED[r.was] then V.unlist_state(r) end
      if LISTED[r.s] then
        local name = r.U .. 's:' .. r.s
        gather(lists, name, '0')
        gather(lists, name, V.indexed(r.t, r.s == 'dead' and r.e or ''))
      end
    end
  end
  carry_out('ZREM', unlisted)
  carry_out('ZADD', lists)
end

-- Writes states and `meta`, logs and publishes. The last thing a call does.
function V.finish()
  local list = puts
  for i = 1, #dirty do
    local r = dirty[i]
    if not r.gone then
      list[#list + 1] = r.name
      list[#list + 1] = r.text
    end
    if #list >= UNPACK_MAX then
      call('MSET', unpack(list))
      list = {}
    end
  end
  for i = 1, #tied do
    local r = tied[i]
    if not r.gone then
      list[#list + 1] = r.U .. 'f:' .. r.t
      list[#list + 1] = V.spell_links(r)
    end
    if #list >= UNPACK_MAX then
      call('MSET', unpack(list))
      list = {}
    end
  end
  V.keep_tallies(list)
  if #list > 0 then call('MSET', unpack(list)) end
  keep_listed()
  V.keep_lanes()
  if V.keep_leads then V.keep_leads() end
  if V.keep_running then
    V.keep_running()
    V.keep_paces()
    V.keep_times()
  end
  V.keep_totals()
  V.keep_hands()
  for i = 1, #COUNTS do
    local name = COUNTS[i]
    if M[name] ~= M.before[name] then
      M.set[#M.set + 1] = name
      M.set[#M.set + 1] = int(M[name])
    end
  end
  if #M.set > 0 then call('HSET', META, unpack(M.set)) end
  local unheard = V.unheard(log_order)
  for i = 1, #log_order do
    local user = log_order[i]
    local list = logs[user]
    V.log(user, '[' .. (#list == 1 and list[1] or table.concat(list, ',')) .. ']', unheard[i])
  end
  for i = 1, #passing, 2 do call('SPUBLISH', N.channel(passing[i]), passing[i + 1]) end
end
