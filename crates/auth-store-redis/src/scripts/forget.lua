-- Removes a rejected access token.
--
-- ARGV: 1 the number under which the token was saved.

-- Another number: the rejected token has been replaced since, and the new one stays.
if redis.call('HGET', KEYS[1], 'saved') == ARGV[1] then redis.call('HDEL', KEYS[1], 'access') end
return 1
