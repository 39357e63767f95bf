-- key: what is kept of a user's key: `task|hash|date|queue`, the hash of what was submitted under it and
-- until when it counts.
--
-- reads:   nothing of its own
-- replies: nothing
-- moves:   nothing

-- Until when a key counts that lives for so many ms from now, and how long Redis keeps it. Its date
-- decides; that Redis forgets it later only saves memory.
function V.key_dates(ttl)
  local ms = tonumber(ttl)
  local life = math.min(math.max(ms, 0), KEY_MS_MAX) + KEY_SLACK_MS
  return string.format('%.0f', now() + ms), string.format('%.0f', life)
end

-- A key has a task from now on.
function V.keep_key(name, task, hash, queue, over, life)
  call('SET', name, task .. '|' .. hash .. '|' .. over .. '|' .. queue, 'PX', life)
end
