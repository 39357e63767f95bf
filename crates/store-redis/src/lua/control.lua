-- control: what people and operators ask for.
--
-- reads:   ARGV[3] the verb: 'cancel', 'redrive', 'reschedule', 'edit', 'purge', 'erase', 'unlist',
--          'schedule', 'queues', 'user' or 'pause'; the rest is the verb's
-- replies: the verb's
-- moves:   by the verbs

local next_arg = 4
local function take()
  next_arg = next_arg + 1
  return ARGV[next_arg - 1]
end

local refusal = V.begin({})
if refusal then return refusal end
local answers = V[ARGV[3]](take)
V.settle_lines()
V.finish()
return answers
