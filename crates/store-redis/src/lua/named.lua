-- named: the tasks of one user that a control command names, with their states.
--
-- reads:   a count and tasks: id, queue, and what `more` takes
-- replies: nothing
-- moves:   nothing

-- Has lists find a task by other words.
function V.index_again(r, words)
  call('ZREMRANGEBYLEX', r.U .. 'i', '[' .. r.t, '[' .. r.t .. '\255')
  call('ZADD', r.U .. 'i', '0', V.indexed(r.t, words))
end

function V.named(take, user, more)
  local list = {}
  for i = 1, tonumber(take()) do
    local one = { r = V.record(user, take()), q = take() }
    if more then more(one) end
    V.want(one.r)
    list[i] = one
  end
  V.fetch()
  for i = 1, #list do
    local r = list[i].r
    -- Only what is queued and untouched has no state; then its descriptor must say that it is.
    if r.exists == nil then
      r.exists = r.raw and true or call('EXISTS', r.U .. 'd:' .. r.t) == 1
    end
  end
  return list
end
