-- The names of everything kept, and the time of this call. O, the options, is written before this file.
local INF, FREE, MINUTE, DAY, QUIET = math.huge, 0, 60, 86400, 86400
-- Clocks of several machines differ by this much at most. Who is behind waits for the one ahead.
local SKEW = 5
local call, pack, unpack_record = redis.call, cmsgpack.pack, cmsgpack.unpack

local BASE = KEYS[1]
local OPERATION = ARGV[1]
-- What only looks moves the kept time once a second, so that looking is seldom written to the disk.
local LOOKS = {row = 1, rows = 1, standing = 1, standings = 1, size = 1, comeback = 1}

local now = tonumber(ARGV[2])
local day_start, day_end = tonumber(ARGV[4]), tonumber(ARGV[5])
local kept_at, kept_start, kept_end = -INF, 0, 0

local function exact(number)
  return string.format('%.17g', number)
end

local function keep_time()
  call('SET', BASE .. ':at', struct.pack('ddd', now, day_start, day_end))
end

-- Answer the time before and after a step back of the clock, or nothing. No window is ever reopened by a caller
-- whose clock is slightly behind: its time is then the latest that was seen.
local function read_time()
  local kept = call('GET', BASE .. ':at')
  if kept then
    kept_at, kept_start, kept_end = struct.unpack('ddd', kept)
  end
  local before
  if now < kept_at then
    before = tonumber(ARGV[3])
    if not before and kept_at - now > SKEW then
      before = kept_at + MINUTE
    end
    if not before then
      now, day_start, day_end = kept_at, kept_start, kept_end
    end
  end
  if before or (now > kept_at and (not LOOKS[OPERATION] or now - kept_at >= 1)) then
    keep_time()
  end
  return before and math.max(before, kept_at)
end

local function minute_start(time)
  return time - math.fmod(time, MINUTE)
end

local function later(until_, before)
  return until_ > before and until_ - before + now or FREE
end
