-- weigh: set how many turns a user gets for one of the others in a queue.
--
-- reads:   queue, user, weight; 1 is the default and is not kept
-- replies: nothing
-- moves:   nothing

function V.weigh(take)
  local queue, user, weight = take(), take(), take()
  local name, field = N.weights(queue), 'w:' .. queue
  if weight ~= '1' then
    call('HSET', name, user, weight)
    call('HSET', META, field, '1')
  else
    call('HDEL', name, user)
    if call('EXISTS', name) == 0 then
      call('UNLINK', N.credit(queue))
      call('HDEL', META, field)
    end
  end
  return {}
end
