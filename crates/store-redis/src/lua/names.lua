-- names: every key and channel of the partition, spelled as in `keys.rs`.
--
-- reads: KEYS[1], the name of `meta`; KEYS[2], the canary, only declared

local META, B
local LEASES, DUE, CANCELS, PARKED, USERS, UNSTARTED
local NODES, LEADS, SCHEDULES, THROTTLED, PAUSED
-- Those of each partition that was called, in the order in which they are set below.
local OF = {}
local function spell_names(b)
  return {
    b, b .. 'leases', b .. 'due', b .. 'cancels', b .. 'parked', b .. 'users', b .. 'unstarted',
    b .. 'nodes', b .. 'leads', b .. 'schedules', b .. 'throttled', b .. 'paused',
  }
end
each_call(function()
  META = KEYS[1]
  local names = OF[META]
  if not names then
    names = spell_names(string.sub(META, 1, -5))
    OF[META] = names
  end
  B, LEASES, DUE, CANCELS, PARKED, USERS, UNSTARTED,
    NODES, LEADS, SCHEDULES, THROTTLED, PAUSED = unpack(names)
end)

local N = {}
function N.ring(queue) return B .. 'ring:' .. queue end
function N.full(queue) return B .. 'full:' .. queue end
function N.running(queue) return B .. 'running:' .. queue end
function N.pace(queue) return B .. 'pace:' .. queue end
function N.times(queue) return B .. 'times:' .. queue end
function N.overrides(queue) return B .. 'overrides:' .. queue end
function N.credit(queue) return B .. 'credit:' .. queue end
function N.idle(queue) return B .. 'idle:' .. queue end
function N.sweep(keep_s) return B .. 'sweep:' .. keep_s end
function N.wake(worker) return B .. 'wake:' .. worker end
function N.channel(user) return B .. 'u:' .. user end
function N.user(user) return B .. 'u:' .. user .. ':' end
function N.schedules(user) return B .. 'u:' .. user .. ':sc' end
function N.tally(user) return B .. 'u:' .. user .. ':n' end
-- One of the lists of a lane: 'h' high, 'l' low, or nothing for normal.
function N.lane(user, queue, priority) return B .. 'u:' .. user .. ':' .. (priority or 'q') .. ':' .. queue end
function N.parts(user, task) return B .. 'u:' .. user .. ':m:' .. task end
function N.line(user, key) return B .. 'u:' .. user .. ':w:' .. key end
function N.key(user, key) return B .. 'u:' .. user .. ':k:' .. key end
