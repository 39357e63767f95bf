-- plain: calls in which nothing is in use that few use, as one look at `meta` says. They do what the
-- other fragments do, in loops that make few tables and call few functions: what a task costs is
-- mostly Lua.
--
-- reads:   what begin and tally read
-- replies: nothing
-- moves:   nothing
--
-- A user of such a call, `u`: name, U the prefix; numbers and rest the tally as it was read, bytes and the states by
-- how much they change; log the events of the call, and parts what was too long for it.
--
-- Until a call writes anything but places in lanes and leases, it may leave all to the others.

local KEPT = '' .. EVENTS_KEPT_MAX
-- Events are joined by pairs up to so many bytes.
local LOG_BYTES = 2000
-- Where a tally has the number of a state.
local PLACES = {}
for i = 1, #STATES do PLACES[STATES[i]] = i + 2 end
local QUEUED, RUNNING, COMPLETED = PLACES.queued, PLACES.running, PLACES.completed
local LAST = #STATES + 2

-- Whether a number of `meta` says that there are none.
function V.is_none(number) return not number or number == '0' or number == '' end

-- Whether this is a life and a form that is known, without priorities, and nothing is set of what was
-- asked, which stands behind the first `count` of `facts`.
function V.says_nothing(schema, run, priorities, facts, count)
  schema = read(schema)
  if not schema or schema < SCHEMA_MIN or schema > SCHEMA or run ~= ARGV[1] then return false end
  if priorities and priorities ~= '' then return false end
  for i = count + 1, #facts do
    if facts[i] then return false end
  end
  return true
end

-- Reads `meta` and `more` of it, for this call and for those it may be left to. Answers it if it says
-- nothing unusual.
function V.look(more)
  early = V.facts(more)
  if not V.says_nothing(early[SCHEMA_AT], early[RUN_AT], early[PRIORITIES_AT], early, FACTS) then return nil end
  M = {
    epoch = tonumber(early[EPOCH_AT]) or 1, lt = tonumber(early[LT_AT]) or 0, mt = tonumber(early[MT_AT]) or 0,
    sc = tonumber(early[SCHEDULE_AT]), queues_version = tonumber(early[VERSION_AT]) or 0,
    -- Of what is asked nothing is closed.
    closed = 0, th = 0, ex = 0, behind = false,
  }
  return early
end

function V.plain_user(user)
  return {
    name = user, U = N.user(user), bytes = 0, queued = 0, running = 0, completed = 0,
    numbers = nil, rest = '', log = nil, parts = nil, index = nil, at = nil,
  }
end

-- A user's tally has been read.
function V.learn_tally(u, text)
  local list = { match(text or '', TALLY_REST) }
  u.is_new = not list[1]
  if u.is_new then list = { match(TALLY_NONE, TALLY_REST) } end
  u.rest, list[LAST + 1] = list[LAST + 1], nil
  u.numbers = list
end

-- By the last three digits of a number, those of the next one.
local NEXT = {}
-- The number after one that is a text. Reading and spelling a long one is dear.
local function after(text)
  local tail = string.sub(text, -3)
  if #text <= 3 or tail == '999' then return int(text + 1) end
  local following = NEXT[tail]
  if not following then
    following = string.format('%03d', tail + 1)
    NEXT[tail] = following
  end
  return string.sub(text, 1, -4) .. following
end

-- A number that is a text, and so many more.
local function add(list, place, by)
  if by == 0 then return end
  local number = list[place] + by
  list[place] = number < 0 and '0' or int(number)
end

-- The tally as it is after the call.
function V.spell_user(u)
  local list = u.numbers
  -- One that begins anew is not taken for a former one.
  list[1] = u.is_new and int(now()) or after(list[1])
  add(list, 2, u.bytes)
  add(list, QUEUED, u.queued)
  add(list, RUNNING, u.running)
  add(list, COMPLETED, u.completed)
  return table.concat(list, ',', 1, LAST) .. u.rest
end

-- Something is to be logged of a user.
function V.note(u, json)
  local text = u.log
  if not text then
    u.log = json
  elseif #text < LOG_BYTES then
    u.log = text .. ',' .. json
  else
    local parts = u.parts or {}
    parts[#parts + 1] = text
    u.parts, u.log = parts, json
  end
end

-- Logs what is to be logged of these users, and tells listeners.
function V.tell_users(users)
  local unheard = V.unheard(users, 'name')
  for i = 1, #users do
    local u = users[i]
    local json = u.log
    if u.parts then json = table.concat(u.parts, ',') .. ',' .. json end
    json = '[' .. json .. ']'
    local front = M.epoch .. '-'
    local id = pcall('XADD', u.U .. 'e', 'MAXLEN', '~', KEPT, front .. '*', 'e', json)
    if type(id) == 'string' then
      if not unheard[i] then
        call('SPUBLISH', N.channel(u.name), front .. after(string.sub(id, #front + 1)) .. json)
      end
    else
      V.log(u.name, json)
    end
  end
end
