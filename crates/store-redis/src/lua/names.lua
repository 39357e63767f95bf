-- names: every key and channel of the partition, spelled as in `keys.rs`.
--
-- reads: KEYS[1], the name of `meta`; KEYS[2], the canary, only declared

local META, B
local LEASES, DUE, CANCELS, PARKED, USERS, UNSTARTED
local NODES, LEADS, SCHEDULES, THROTTLED, PAUSED
each_call(function()
  META = KEYS[1]
  B = string.sub(META, 1, -5)
  LEASES, DUE, CANCELS = B .. 'leases', B .. 'due', B .. 'cancels'
  PARKED, USERS, UNSTARTED = B .. 'parked', B .. 'users', B .. 'unstarted'
  NODES, LEADS = B .. 'nodes', B .. 'leads'
  SCHEDULES, THROTTLED = B .. 'schedules', B .. 'throttled'
  PAUSED = B .. 'paused'
end)

local N = {}
function N.ring(queue) return B .. 'ring:' .. queue end
function N.full(queue) return B .. 'full:' .. queue end
function N.running(queue) return B .. 'running:' .. queue end
function N.pace(queue) return B .. 'pace:' .. queue end
function N.overrides(queue) return B .. 'overrides:' .. queue end
function N.credit(queue) return B .. 'credit:' .. queue end
function N.idle(queue) return B .. 'idle:' .. queue end
function N.sweep(keep_s) return B .. 'sweep:' .. keep_s end
function N.wake(worker) return B .. 'wake:' .. worker end
function N.channel(user) return B .. 'u:' .. user end
function N.user(user) return B .. 'u:' .. user .. ':' end
function N.schedules(user) return B .. 'u:' .. user .. ':sc' end
-- One of the lists of a lane: 'h' high, 'l' low, or nothing for normal.
function N.lane(user, queue, priority) return B .. 'u:' .. user .. ':' .. (priority or 'q') .. ':' .. queue end
function N.parts(user, task) return B .. 'u:' .. user .. ':m:' .. task end
function N.line(user, key) return B .. 'u:' .. user .. ':w:' .. key end
function N.key(user, key) return B .. 'u:' .. user .. ':k:' .. key end
