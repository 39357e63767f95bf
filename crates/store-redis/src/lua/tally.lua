-- tally: how many tasks of a user are in each state, and how many bytes they hold.
--
-- reads:   a user's STRING n: version, bytes, then how many tasks are in each of STATES, and how many
--          bytes they may hold where it is set: numbers between commas; absent where there are none.
--          Further parts may follow
-- replies: nothing
-- moves:   nothing; it counts what the verbs move
--
-- It is read and written by the commands that read and write states. Its version rises with every
-- change. Bytes are those of descriptors, and of the states of tasks that have ended.

local tallies, changed, births
each_call(function() tallies, changed, births = {}, {}, {} end)

-- A user's tally: by how much each number changes in this call.
function V.tally(user)
  local tally = tallies[user]
  if not tally then
    local prefix = N.user(user)
    tally = { U = prefix, of = user, name = N.tally(user), by = {}, bytes = 0 }
    tallies[user] = tally
  end
  return tally
end

function V.read_tally(tally, text) tally.was = text or '' end

-- How many bytes a user's tasks may hold, a text; false where it is not set. The tally was read.
function V.bytes_max(tally)
  if tally.max == nil then tally.max = string.match(tally.was, TALLY_MAX) or false end
  return tally.max
end

-- How many bytes they held when the tally was read.
local function held(tally)
  if not tally.held then tally.held = read(string.match(tally.was, '^%d+,(%d+)')) or 0 end
  return tally.held
end

-- Whether the tasks of a user may hold so many bytes more; `asked` is the limit where none is set.
function V.has_room(tally, more, asked)
  return held(tally) + tally.bytes + more <= (read(V.bytes_max(tally) or nil) or asked)
end

local function touch(tally)
  if tally.touched then return end
  tally.touched = true
  changed[#changed + 1] = tally
end

local function add(tally, state, by)
  tally.by[state] = (tally.by[state] or 0) + by
  touch(tally)
end

function V.add_bytes(r, by)
  r.tally.bytes = r.tally.bytes + by
  touch(r.tally)
end

-- Sets how many bytes a user's tasks may hold, a text; false for nothing.
function V.set_bytes_max(tally, max)
  tally.max = max
  touch(tally)
end

-- Whether a descriptor may become another one. A shorter one always may.
function V.may_rewrite(r, text, room)
  local more = #text - call('STRLEN', r.U .. 'd:' .. r.t)
  return more <= 0 or V.has_room(r.tally, more, room)
end

-- Replaces a descriptor.
function V.rewrite(r, text)
  local name = r.U .. 'd:' .. r.t
  V.add_bytes(r, #text - call('STRLEN', name))
  V.put(name, text)
end

-- A task is there from now on, with a descriptor of so many bytes.
function V.born(r, bytes)
  r.known, r.exists, r.born = true, true, true
  births[#births + 1] = r
  V.add_bytes(r, bytes)
end

-- Counts a record as what it is now, and no more as what it was.
function V.counted_as(r)
  if not r.had and not r.born then return end
  local bytes = r.text and ENDED[r.s] and #r.text or 0
  if r.had ~= r.s then
    if r.had then add(r.tally, r.had, -1) end
    add(r.tally, r.s, 1)
  end
  if bytes ~= (r.had_bytes or 0) then V.add_bytes(r, bytes - (r.had_bytes or 0)) end
  r.had, r.had_bytes = r.s, bytes
end

-- A task whose state was read is gone, and its descriptor is about to be.
function V.uncount(r)
  if not r.had then return end
  add(r.tally, r.had, -1)
  V.add_bytes(r, -r.had_bytes - call('STRLEN', r.U .. 'd:' .. r.t))
  r.had = nil
end

-- Nothing is counted of a user any more.
function V.forget_tally(user) V.tally(user).forgotten = true end

-- Sets what is counted of a user, which was `before` until now: bytes, and tasks per state.
function V.set_tally(user, before, text)
  local tally = V.tally(user)
  tally.asked = true
  tally.was, tally.held = (string.match(before, '^%d+') or int(now())) .. ',' .. text, nil
  touch(tally)
end

-- Adds what has changed to `list`, the names and texts of one command.
function V.keep_tallies(list)
  for i = 1, #births do V.counted_as(births[i]) end
  for i = 1, #changed do V.want_tally(changed[i]) end
  V.fetch()
  local gone = {}
  for i = 1, #changed do
    local tally = changed[i]
    local numbers, some = { string.match(tally.was, TALLY) }, false
    for j = 1, #STATES do
      -- A number that stays is not read: that and spelling it is what costs.
      local number, by = numbers[j + 2] or '0', tally.by[STATES[j]]
      if by then number = int(math.max(0, read(number) + by)) end
      some = some or number ~= '0'
      numbers[j + 2] = number
    end
    local max = V.bytes_max(tally)
    if tally.forgotten or not (some or max) then
      gone[#gone + 1] = tally.name
    else
      -- One that begins anew is not taken for a former one, and its user may have been erased.
      local version = read(numbers[1])
      if not version then call('SADD', USERS, tally.of) end
      numbers[1] = int(version and version + 1 or now())
      numbers[2] = some and int(math.max(0, held(tally) + tally.bytes)) or '0'
      local last = #STATES + 2
      if max then
        last = last + 1
        numbers[last] = max
      end
      list[#list + 1] = tally.name
      list[#list + 1] = table.concat(numbers, ',', 1, last)
    end
  end
  if #gone > 0 then call('UNLINK', unpack(gone)) end
end
