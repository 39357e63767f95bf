-- edit: change what waiting tasks are to do. The claim number stays, and with it every reference to
-- the task: a claim reads the descriptor in the script that takes the entry, so a run sees all of an
-- edit or the edit is refused.
--
-- reads:   at_ms, user; a count and tasks: id, queue, claim number seen, writes on it seen,
--          the most bytes where none is set of the user, descriptor, what lists find it by, event
--          members
-- replies: one text per task: 'done', 'changed', 'absent', '-bytes_full', or '!'state it is in
-- moves:   scheduled -> scheduled, queued -> queued, waiting -> waiting

local function edit(one, at)
  local r = one.r
  if not r.exists then return 'absent' end
  if r.s ~= 'scheduled' and r.s ~= 'queued' and r.s ~= 'waiting' then return '!' .. r.s end
  if int(r.c) ~= one.c or int(r.n) ~= one.n then return 'changed' end
  if not V.may_rewrite(r, one.d, one.room) then return '-bytes_full' end
  V.rewrite(r, one.d)
  V.index_again(r, one.e)
  r.n = V.counted(r.n, r.n + 1)
  local more = r.s == 'scheduled' and ',"due":' .. r.due or r.s == 'waiting' and ',"on":' .. r.on or ''
  V.write(r, at, more, '', one.event)
  return 'done'
end

function V.edit(take)
  local at, user = take(), take()
  local list = V.named(take, user, function(one)
    one.c, one.n, one.room, one.d, one.e = take(), take(), read(take()), take(), take()
    one.event = take()
  end)
  local answers = {}
  for i = 1, #list do answers[i] = edit(list[i], at) end
  return answers
end
