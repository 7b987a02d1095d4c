-- Removes the refresh token from the entry and returns it to the holder of the lease.
--
-- ARGV: 1 the lease number.
-- Reply: the refresh token, or ''.
local entry = redis.call('HMGET', KEYS[1], 'lease_number', 'revision')
-- If the entry has another lease number, a newer lease was granted, and its holder may use this refresh token. If the
-- revision is the number of this lease, this claim arrived after the save of its own lease. Then the refresh token in
-- the entry is the one that this save has written, and it is for the next holder.
if entry[1] ~= ARGV[1] or entry[2] == ARGV[1] then return '' end
local refresh = redis.call('HGET', KEYS[1], 'refresh')
redis.call('HDEL', KEYS[1], 'refresh')
return refresh or ''
