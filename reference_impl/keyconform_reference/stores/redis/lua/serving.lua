-- Choosing a key and giving it back.

-- Answer the first usable key but `avoid`, its use and its state as kept, and whether `avoid` was met and usable.
local function next_usable(queue, avoid, chance)
  local met
  while true do
    local key, score = peek(queue, chance)
    if not key then return nil, nil, nil, met end
    local when, use, packed = free_at(queue.lane, key)
    local ranked = score and RANKED and when == FREE and rank(queue, key, use)
    if not when then
      call('ZREM', queue.ready, key)
    elseif when ~= FREE then
      call('ZREM', queue.ready, key)
      call('ZADD', queue.parked, exact(math.max(when, now + 0.001)), key)
    elseif ranked and ranked > score then
      call('ZADD', queue.ready, exact(ranked), key)
    elseif key == avoid then
      call('ZREM', queue.ready, key)
      met = true
    else
      return key, use, packed, met
    end
  end
end

local function choose(queue, avoid, chance)
  if RANKED and queue.order ~= 'random' then refresh(queue) end
  local passed = false
  while true do
    local due = wake(queue)
    local key, use, packed, met = next_usable(queue, avoid, chance)
    passed = passed or met
    if key then
      if passed then unpop(queue, avoid) end
      return key, use, packed
    end
    if not due then break end
  end
  if passed then
    local _, use, packed = free_at(queue.lane, avoid)
    return avoid, use, packed
  end
end

local function serve(lane, key, use)
  keep_lane(lane, now + (O.counted_on == 'acquire' and AFTER_USE or AFTER_ACQUIRE))
  if not (O.counted_on == 'acquire' or lane.reserves) then return use end
  use = use or new_use(lane.all)
  if O.counted_on == 'acquire' then
    use[LAST_USED] = now
    add_use(use, 1, 0)
  end
  if lane.reserves then reserve(use) end
  put_use(lane, key, use)
  return use
end

-- Write down that a key was served; answer it with its token and when its lease ends ('' for never).
local function hand_out(lane, key, use, packed)
  use = serve(lane, key, use)
  if O.tenure ~= 'lease' then return {key, 0, ''}, use end
  local state = state_of(packed)
  state[TOKEN] = call('INCR', BASE .. ':tokens')
  state[HELD_UNTIL] = O.lease_ttl and now + O.lease_ttl or INF
  state[RESERVED_FOR] = lane.reserves and lane.id or ''
  put_state(lane.pool, key, state)
  return {key, state[TOKEN], O.lease_ttl and exact(state[HELD_UNTIL]) or ''}, use
end

local function unreserve_in(lane, key)
  local use = use_of(lane, key)
  if use and #use[RESERVED] > 0 then
    unreserve(use)
    put_use(lane, key, use)
  end
end

local function end_hold(pool, key, state)
  if state[RESERVED_FOR] ~= '' then unreserve_in(lane_of(pool, state[RESERVED_FOR]), key) end
  state[TOKEN], state[RESERVED_FOR] = 0, ''
  put_state(pool, key, state)
  touch_everywhere(pool, key)
end

local function next_key(pool)
  local size = call('LLEN', pool.order)
  if size == 0 then return nil, 0 end
  return call('LINDEX', pool.order, (call('INCR', pool.cursor) - 1) % size), size
end

local function restore(pool, key, packed)
  if packed ~= '' then
    local state = state_of(packed)
    state[STRIKES], state[STRUCK], state[REMOVED], state[OUTS] = 0, FREE, FREE, 0
    put_state(pool, key, state)
  end
end

-- Do something to each use of a lane, and keep what came of it.
local function each_use(lane, change)
  local found = call('HGETALL', lane.uses)
  for place = 1, #found, 2 do
    local use = unpack_record(found[place + 1])
    change(use)
    put_use(lane, found[place], use)
  end
end

-- Obey a clock that was set back: everything keeps the time it had left.
local function shift_all(before)
  for _, pool in ipairs(POOLS) do
    local found = call('HGETALL', pool.states)
    for place = 1, #found, 2 do
      if found[place + 1] ~= '' then
        put_state(pool, found[place], shift_state(unpack_record(found[place + 1]), before))
      end
    end
    for _, lane in ipairs(lanes_of(pool)) do
      each_use(lane, function(use) shift_use(use, before) end)
      touch_all(lane)
    end
  end
end

-- Serve these keys, keeping what is known of those that stay, or only who holds them.
local function rebuild(pool, keys, keep)
  local before, stays = {}, {}
  local found = call('HGETALL', pool.states)
  for place = 1, #found, 2 do before[found[place]] = found[place + 1] end
  call('DEL', pool.order, pool.states, pool.cursor)
  local states = {}
  for place, key in ipairs(keys) do
    local packed = before[key] or ''
    stays[key] = true
    if not keep and packed ~= '' then
      local state, fresh = state_of(packed), state_of('')
      fresh[TOKEN], fresh[HELD_UNTIL], fresh[RESERVED_FOR] = state[TOKEN], state[HELD_UNTIL], state[RESERVED_FOR]
      packed = pack(fresh)
    end
    states[2 * place - 1], states[2 * place] = key, packed
  end
  in_batches('RPUSH', pool.order, keys)
  in_batches('HSET', pool.states, states)
  for _, lane in ipairs(lanes_of(pool)) do
    if not keep then
      drop_lane(lane)
    else
      for _, key in ipairs(call('HKEYS', lane.uses)) do
        if not stays[key] then call('HDEL', lane.uses, key) end
      end
      call('DEL', lane.served, lane.at .. 'qs', lane.at .. 'ws', lane.at .. 'qx', lane.at .. 'wx')
    end
  end
end
