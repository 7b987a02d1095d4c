-- Removes a rejected access token.
--
-- ARGV: 1 the number under which the token was saved.

-- If the number is another one, a newer token has replaced the rejected token, and the newer token stays.
if redis.call('HGET', KEYS[1], 'saved') == ARGV[1] then redis.call('HDEL', KEYS[1], 'access') end
return 1
