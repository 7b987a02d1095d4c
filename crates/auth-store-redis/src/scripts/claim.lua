-- ARGV: the lease.
local entry = redis.call('HMGET', KEYS[1], 'lease_number', 'revision')
-- One that comes after its own save would take what that has brought.
if entry[1] ~= ARGV[1] or entry[2] == ARGV[1] then return '' end
local refresh = redis.call('HGET', KEYS[1], 'refresh')
redis.call('HDEL', KEYS[1], 'refresh')
return refresh or ''
