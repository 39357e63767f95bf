-- control: what people and operators ask for.
--
-- reads:   ARGV[3] the verb: 'cancel', 'redrive', 'reschedule', 'edit', 'purge', 'erase', 'unlist',
--          'schedule', 'seal', 'queues', 'user', 'pause', 'bytes', 'permits' or 'hand'; the rest is the verb's
-- replies: the verb's
-- moves:   by the verbs

local verb = take()
local refusal = V.begin({})
if refusal then return refusal end
local answers = V[verb](take)
V.settle_lines()
V.finish()
return answers
