-- purge: remove ended tasks now, with all that is kept of them. What refers to one elsewhere (lists to
-- sweep, a lane) names a task that is gone, and is dropped at its turn.
--
-- reads:   at_ms, user; a count and tasks: id, queue, claim number seen, '' or '='key
-- replies: one text per task: 'done', 'changed', 'absent', or '!'state it is in
-- moves:   terminal -> gone

-- The key of its submission is forgotten too, while it stands for this task.
local function forget(r, key)
  local name = N.key(r.u, key)
  local owner = call('GET', name)
  if owner and string.match(owner, '^[^|]+') == r.t then call('UNLINK', name) end
end

local function purge(one, at, gone)
  local r = one.r
  if not r.exists or r.gone then return 'absent' end
  if not V.is_ended(r) then return '!' .. r.s end
  if int(r.c) ~= one.c then return 'changed' end
  r.gone = true
  gone[#gone + 1] = r
  if one.key ~= '' then forget(r, string.sub(one.key, 2)) end
  V.emit(r.u, '{"t":"' .. r.t .. '","x":"removed","c":' .. int(r.c) .. ',"n":' .. int(r.n) .. ',"at":' .. at .. '}')
  return 'done'
end

function V.purge(take)
  local at, user = take(), take()
  local list = V.named(take, user, function(one) one.c, one.key = take(), take() end)
  local answers, gone = {}, {}
  for i = 1, #list do answers[i] = purge(list[i], at, gone) end
  V.remove(gone)
  return answers
end
