-- Reads the entry.
--
-- ARGV: none.
-- Reply: now, revision, saved, access or '', cooldown or '', '1' if there is a refresh token or ''.
local entry = redis.call('HMGET', KEYS[1], 'revision', 'saved', 'access', 'cooldown', 'refresh')
return {
  digits(now), digits(number(entry[1])), digits(number(entry[2])),
  entry[3] or '', entry[4] or '', entry[5] and '1' or '',
}
