-- The pools, what is kept of each, and the order of its keys for each model.
-- Of a pool: o the roster, k the keys' states, c the cursor, l the lanes by when they may be dropped, n their names.
-- Of a lane: u the uses, and for each order a ready (q) and a parked (w) set of keys, and when each was served (t).
local function pool_of(letter)
  local at = BASE .. ':' .. letter .. ':'
  return {at = at, order = at .. 'o', states = at .. 'k', cursor = at .. 'c', lanes = at .. 'l', names = at .. 'n'}
end

local POOLS = {pool_of('r'), pool_of('v')}
local AT_ONCE, LOOKED_AT, BATCH = 16, 2, 1000
local AFTER_ACQUIRE, AFTER_USE = 120, 90000
-- A key that came back stands before the ring: far below zero. A rank is (waiting, load, when it was served).
local BACK, WAITING, LOAD, LOADS = -2 ^ 50, 2 ^ 52, 2 ^ 31, 2 ^ 21 - 1
local ORDERS = O.selection == 'random' and {'random'} or {O.selection, 'random'}
local RANKED = O.selection == 'least-used' or O.selection == 'most-left'

local function lane_of(pool, id, limits)
  local at = pool.at .. id .. ':'
  local lane = {pool = pool, id = id, uses = at .. 'u', served = at .. 't', at = at, all = limits or {}}
  lane.limits = O.counted_on == 'none' and {} or lane.all
  lane.closed = lane.limits.rpm == 0 or lane.limits.tpm == 0 or lane.limits.rpd == 0
  lane.holds_back = O.counted_on == 'record' and (lane.limits.rpm or lane.limits.rpd) and true or false
  lane.reserves = lane.holds_back or RANKED
  return lane
end

local function queue_of(lane, order)
  local tail = order == 'random' and 'x' or 's'
  return {lane = lane, order = order, ready = lane.at .. 'q' .. tail, parked = lane.at .. 'w' .. tail}
end

local function lanes_of(pool)
  local found = call('ZRANGE', pool.lanes, 0, -1)
  for place, id in ipairs(found) do found[place] = lane_of(pool, id) end
  return found
end

local function names_of(lane)
  return {lane.uses, lane.served, lane.at .. 'qs', lane.at .. 'ws', lane.at .. 'qx', lane.at .. 'wx'}
end

local function drop_lane(lane)
  call('DEL', unpack(names_of(lane)))
  call('ZREM', lane.pool.lanes, lane.id)
  call('HDEL', lane.pool.names, lane.id)
end

local function drop_idle(pool, limit)
  for _, id in ipairs(call('ZRANGEBYSCORE', pool.lanes, '-inf', exact(now), 'LIMIT', 0, limit)) do
    drop_lane(lane_of(pool, id))
  end
end

-- Note that a lane has an effect until then. A configured one always has, and was noted when the store was opened.
local function keep_lane(lane, keep_until)
  if lane.configured then return end
  local kept = call('ZSCORE', lane.pool.lanes, lane.id)
  kept = kept and tonumber(kept)
  if not kept then
    drop_idle(lane.pool, LOOKED_AT)
    call('HSET', lane.pool.names, lane.id, lane.name)
  end
  lane.kept = math.max(kept or keep_until, keep_until)
  if kept ~= lane.kept then call('ZADD', lane.pool.lanes, exact(lane.kept), lane.id) end
end

local function keep_configured(pool, id)
  call('ZADD', pool.lanes, 'inf', id)
  for _, name in ipairs(names_of(lane_of(pool, id))) do call('PERSIST', name) end
end

-- Let the keys of a lane end with it; the last step of every call that may have made one of them.
local function set_expiry(lane)
  if lane.configured then return end
  local left = exact(math.min(math.ceil(math.max(lane.kept - now, AFTER_ACQUIRE) * 1000), 10 ^ 15))
  for _, name in ipairs(names_of(lane)) do call('PEXPIRE', name, left) end
end

local function use_of(lane, key)
  local packed = call('HGET', lane.uses, key)
  return packed and unpack_record(packed)
end

local function put_use(lane, key, use)
  call('HSET', lane.uses, key, pack(use))
end

local function put_state(pool, key, state)
  call('HSET', pool.states, key, pack(state))
end

local function free_at(lane, key)
  local packed = call('HGET', lane.pool.states, key)
  if not packed then return nil end
  local when = packed == '' and FREE or state_free_at(state_of(packed))
  local use = use_of(lane, key)
  if use then return math.max(when, use_free_at(use, lane.limits, lane.holds_back)), use, packed end
  return lane.closed and INF or when, nil, packed
end

-- Call a command with many words, as many at once as the stack of Lua holds.
local function in_batches(command, name, words)
  for place = 1, #words, BATCH do
    call(command, name, unpack(words, place, math.min(place + BATCH - 1, #words)))
  end
end

-- The orders -------------------------------------------------------------------------------------------------

local function load_of(lane, use)
  local requests, tokens, daily = used(use)
  if O.selection == 'least-used' then return requests end
  local share, limits = nil, lane.limits
  local function look(spent, limit)
    if limit and limit > 0 then share = math.max(share or 0, spent / limit) end
  end
  look(requests, limits.rpm)
  look(tokens, limits.tpm)
  look(daily, limits.rpd)
  return share and share * 2 ^ 20 or requests
end

local function rank(queue, key, use)
  local served = tonumber(call('HGET', queue.lane.served, key) or 0) % LOAD
  use = use or use_of(queue.lane, key)
  if not use then return served end
  if reserved(use) > 0 then return WAITING + served end
  return math.min(math.floor(load_of(queue.lane, use)), LOADS) * LOAD + served
end

-- Put a key behind all others: it was served.
local function add(queue, key, use)
  local score = 0
  if queue.order ~= 'random' then score = call('HINCRBY', queue.lane.served, '', 1) end
  if queue.order ~= 'random' and RANKED then
    call('HSET', queue.lane.served, key, score)
    score = exact(rank(queue, key, use))
  end
  call('ZADD', queue.ready, score, key)
end

-- Put back a key whose wait is over: it missed its turn. A rank of 0 is looked at before it counts.
local function rejoin(queue, key)
  local score = 0
  if queue.order == 'round-robin' then
    local last = call('ZREVRANGEBYSCORE', queue.ready, '(0', '-inf', 'WITHSCORES', 'LIMIT', 0, 1)
    score = tonumber(last[2] or BACK) + 1
  end
  call('ZADD', queue.ready, exact(score), key)
end

-- Put back a key that was passed over: its turn is next.
local function unpop(queue, key)
  local score = 0
  if queue.order == 'round-robin' then
    local first = call('ZRANGE', queue.ready, 0, 0, 'WITHSCORES')
    score = math.min(tonumber(first[2] or BACK), BACK) - 1
  end
  call('ZADD', queue.ready, exact(score), key)
end

local function touch(lane, key)
  for _, order in ipairs(ORDERS) do
    local queue = queue_of(lane, order)
    if call('ZREM', queue.parked, key) == 1 then
      rejoin(queue, key)
    elseif RANKED and order ~= 'random' then
      call('ZADD', queue.ready, 'XX', 0, key)
    end
  end
end

local function touch_all(lane)
  for _, order in ipairs(ORDERS) do
    local queue = queue_of(lane, order)
    for _, key in ipairs(call('ZRANGE', queue.parked, 0, -1)) do rejoin(queue, key) end
    call('DEL', queue.parked)
    if RANKED and order ~= 'random' then
      call('ZUNIONSTORE', queue.ready, 1, queue.ready, 'WEIGHTS', 0)
    end
  end
end

local function touch_everywhere(pool, key)
  for _, lane in ipairs(lanes_of(pool)) do touch(lane, key) end
end

local function fill(queue)
  local ranked = RANKED and queue.order ~= 'random'
  local keys, ready = call('LRANGE', queue.lane.pool.order, 0, -1), {}
  for place, key in ipairs(keys) do
    ready[2 * place - 1], ready[2 * place] = queue.order == 'round-robin' and place or 0, key
    if ranked then call('HSETNX', queue.lane.served, key, place) end
  end
  in_batches('ZADD', queue.ready, ready)
  if queue.order ~= 'random' then call('HSETNX', queue.lane.served, '', #keys) end
  return #keys > 0
end

local function wake(queue)
  local due = call('ZRANGEBYSCORE', queue.parked, '-inf', exact(now), 'LIMIT', 0, AT_ONCE)
  for _, key in ipairs(due) do
    call('ZREM', queue.parked, key)
    rejoin(queue, key)
  end
  return #due > 0
end

-- Loads fall at the end of a minute: ranks of an earlier one are looked at before they count.
local function refresh(queue)
  local minute = exact(minute_start(now))
  if call('HGET', queue.lane.served, '@') ~= minute then
    call('HSET', queue.lane.served, '@', minute)
    call('ZUNIONSTORE', queue.ready, 1, queue.ready, 'WEIGHTS', 0)
  end
end

local function peek(queue, chance)
  if queue.order == 'round-robin' then return call('ZRANGE', queue.ready, 0, 0)[1] end
  if queue.order ~= 'random' then
    local found = call('ZRANGE', queue.ready, 0, 0, 'WITHSCORES')
    return found[1], tonumber(found[2])
  end
  local place = math.floor(chance * call('ZCARD', queue.ready))
  return call('ZRANGE', queue.ready, place, place)[1]
end
