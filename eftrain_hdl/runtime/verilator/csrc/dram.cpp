#include "dram.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <new>

namespace eft {

namespace {
constexpr uint64_t kWindow = 16;     // cycles between two looks at which ports are active
constexpr uint64_t kLinger = 64;     // a port counts as active this long after its last request
constexpr unsigned kRowShift = 13;   // an 8 KiB row across the whole data bus
constexpr unsigned kBanks = 16;
constexpr uint8_t kDecodeError = 3;
constexpr double kUnlimited = 1e18;
constexpr unsigned kRead = 0, kWrite = 1;

// A copy of known size is one or two instructions; of unknown size, a call.
inline void copy_beat(uint8_t* to, const uint8_t* from, uint32_t bytes) {
    switch (bytes) {
        case 4: std::memcpy(to, from, 4); break;
        case 8: std::memcpy(to, from, 8); break;
        case 16: std::memcpy(to, from, 16); break;
        default: std::memcpy(to, from, 32); break;
    }
}

unsigned column_of(double bytes) { return bytes <= 96 ? 0 : bytes <= 160 ? 1 : bytes <= 224 ? 2 : 3; }
}  // namespace

// ---------------------------------------------------------------------------------------------------------------- port

void Port::init(Dram* dram, unsigned index) {
    dram_ = dram;
    index_ = index;
    const uint32_t in_flight = dram->config.in_flight;
    for (Side& side : side_) side.commands.reserve(in_flight);
    read_slots_.reserve(in_flight);
    read_beats_.reserve(dram->fifo_beats_);
    write_beats_.reserve(dram->fifo_beats_ + in_flight * dram->split_beats_);
    commits_.reserve(in_flight);
    answers_.reserve(in_flight);
    clear();
}

void Port::clear() {
    for (Side& side : side_) {
        side.commands.clear();
        side.stalled = side.seen = false;
        side.next_issue = 0;
    }
    read_slots_.clear();
    read_beats_.clear();
    write_beats_.clear();
    commits_.clear();
    answers_.clear();
    claimed_ = 0;
    w_stalled_ = false;
    r_valid = b_valid = ar_ready = aw_ready = w_ready = false;
}

void Port::on_address(Direction direction, bool valid, const Address& now) {
    Side& side = side_[unsigned(direction)];
    if (!valid) {
        if (side.stalled) dram_->breach(index_, direction == Direction::Read ? "ARVALID fell before ARREADY"
                                                                             : "AWVALID fell before AWREADY", side.shown.addr);
        side.stalled = false;
        return;
    }
    if (side.stalled && !(side.shown == now))
        dram_->breach(index_, direction == Direction::Read ? "AR payload changed before ARREADY"
                                                           : "AW payload changed before AWREADY", now.addr);
    if (direction == Direction::Read ? ar_ready : aw_ready) {
        side.stalled = false;
        accept(direction, now);
    } else {
        side.stalled = true;
        side.shown = now;
        (direction == Direction::Read ? stats.ar_stalls : stats.aw_stalls)++;
    }
}

void Port::accept(Direction direction, const Address& now) {
    const uint32_t beat = dram_->config.beat_bytes;
    const uint32_t beats = now.len + 1u;
    if (now.burst != 1) dram_->breach(index_, "burst type is not INCR", now.addr);
    if ((1u << now.size) != beat) dram_->breach(index_, "beat size is not the bus width", now.addr);
    const uint64_t start = now.addr & ~uint64_t(beat - 1);
    if ((start >> 12) != ((start + uint64_t(beats) * beat - 1) >> 12))
        dram_->breach(index_, "burst crosses a 4 KiB boundary", now.addr);
    Side& side = side_[unsigned(direction)];
    side.commands.push() = Command{start, beats, 0, now.id, 0};
    side.last_seen = dram_->now + 1;
    side.request_bytes = std::min(beats * beat, dram_->config.split_bytes);
    (direction == Direction::Read ? stats.read_bursts : stats.write_bursts)++;
}

void Port::on_w(bool valid, const void* data, uint32_t strobe, bool last) {
    const uint32_t beat = dram_->config.beat_bytes;
    if (!valid) {
        if (w_stalled_) dram_->breach(index_, "WVALID fell before WREADY", 0);
        w_stalled_ = false;
        return;
    }
    if (w_stalled_ && (w_shown_.strobe != strobe || w_shown_.last != last || std::memcmp(w_shown_.data, data, beat)))
        dram_->breach(index_, "W payload changed before WREADY", 0);
    w_stalled_ = !w_ready;
    WriteBeat& slot = w_ready ? write_beats_.push() : w_shown_;
    slot.strobe = strobe;
    slot.last = last;
    copy_beat(slot.data, static_cast<const uint8_t*>(data), beat);
    if (!w_ready) stats.w_stalls++;
}

void Port::take_read_beat() {
    stats.read_bytes += dram_->config.beat_bytes;
    read_beats_.pop();
    r_valid = false;
}

void Port::issue_read() {
    Side& side = side_[kRead];
    Command& command = side.commands.front();
    const uint32_t beat = dram_->config.beat_bytes;
    const uint32_t count = std::min(command.left, dram_->split_beats_);
    if (read_beats_.size() + count > dram_->fifo_beats_ || !dram_->grant(Direction::Read, count * beat)) return;
    const double penalty = dram_->row_penalty(*this, Direction::Read, command.addr);
    const double now = double(dram_->now);
    side.next_issue = std::max(side.next_issue, now - 1) + dram_->spacing_[kRead] + penalty;
    const uint64_t due = dram_->now + dram_->read_latency_ + uint64_t(penalty);
    read_slots_.push() = due;
    const bool clean = dram_->is_clean(command.addr, count * beat);
    for (uint32_t i = 0; i < count; i++, command.addr += beat) {
        ReadBeat& slot = read_beats_.push();
        slot.due = due;
        slot.id = command.id;
        slot.last = --command.left == 0;
        slot.resp = clean ? 0 : dram_->response(Direction::Read, command.addr);
        if (slot.resp == kDecodeError) std::memset(slot.data, 0, beat);
        else copy_beat(slot.data, dram_->memory + command.addr, beat);
    }
    side.next_addr = command.addr;
    stats.read_requests++;
    if (command.left == 0) side.commands.pop();
}

void Port::issue_write() {
    Side& side = side_[kWrite];
    Command& command = side.commands.front();
    const uint32_t beat = dram_->config.beat_bytes;
    const uint32_t count = std::min(command.left, dram_->split_beats_);
    if (write_beats_.size() - claimed_ < count || answers_.size() >= dram_->config.in_flight ||
        !dram_->grant(Direction::Write, count * beat))
        return;
    const double penalty = dram_->row_penalty(*this, Direction::Write, command.addr);
    side.next_issue = std::max(side.next_issue, double(dram_->now) - 1) + dram_->spacing_[kWrite] + penalty;
    const uint64_t first = command.addr;
    const bool clean = dram_->is_clean(first, count * beat);
    for (uint32_t i = 0; i < count; i++, command.addr += beat) {
        if (write_beats_.at(claimed_ + i).last != (--command.left == 0))
            dram_->breach(index_, "WLAST does not mark the last beat of the burst", command.addr);
        if (!clean) command.resp = std::max(command.resp, dram_->response(Direction::Write, command.addr));
    }
    claimed_ += count;
    commits_.push() = Commit{dram_->now + dram_->write_latency_ + uint64_t(penalty), first, count, command.left == 0,
                             command.id, command.resp};
    side.next_addr = command.addr;
    stats.write_requests++;
    if (command.left == 0) side.commands.pop();
}

void Port::finish_writes() {
    const uint32_t beat = dram_->config.beat_bytes;
    while (!commits_.empty() && commits_.front().due <= dram_->now) {
        const Commit& commit = commits_.front();
        const bool clean = dram_->is_clean(commit.addr, commit.beats * beat);
        for (uint32_t i = 0; i < commit.beats; i++) {
            const WriteBeat& source = write_beats_.at(i);
            const uint64_t addr = commit.addr + uint64_t(i) * beat;
            if (!clean && dram_->response(Direction::Write, addr) != 0) continue;
            if (source.strobe == uint32_t((uint64_t(1) << beat) - 1)) {
                copy_beat(dram_->memory + addr, source.data, beat);
            } else {
                for (uint32_t lane = 0; lane < beat; lane++)
                    if (source.strobe >> lane & 1) dram_->memory[addr + lane] = source.data[lane];
            }
        }
        stats.write_bytes += uint64_t(commit.beats) * beat;
        write_beats_.pop(commit.beats);
        claimed_ -= commit.beats;
        if (commit.final) answers_.push() = Answer{commit.id, commit.resp};
        commits_.pop();
    }
}

void Port::step_outputs() {
    const bool no_reads = dram_->stall[kRead], no_writes = dram_->stall[kWrite];
    if (!r_valid && !read_beats_.empty() && read_beats_.front().due <= dram_->now && !no_reads && !dram_->gap(kR)) {
        const ReadBeat& beat = read_beats_.front();
        r_valid = true;
        r_data = beat.data;
        r_resp = beat.resp;
        r_id = beat.id;
        r_last = beat.last;
    }
    if (!b_valid && !answers_.empty() && !no_writes && !dram_->gap(kB)) {
        b_valid = true;
        b_resp = answers_.front().resp;
        b_id = answers_.front().id;
        answers_.pop();
    }
    ar_ready = !no_reads && side_[kRead].commands.size() < dram_->config.in_flight && !dram_->gap(kAr);
    aw_ready = !no_writes && side_[kWrite].commands.size() < dram_->config.in_flight && !dram_->gap(kAw);
    w_ready = !no_writes && write_beats_.size() - claimed_ < dram_->fifo_beats_ && !dram_->gap(kW);
}

// ---------------------------------------------------------------------------------------------------------------- DRAM

Dram::Dram(const Config& c) : config(c) {
    void* map = mmap(nullptr, c.dram_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) throw std::bad_alloc();
    memory = static_cast<uint8_t*>(map);
    per_ns_ = c.clock_mhz * 1e-3;
    // One cycle passes in the command queue and one before the data shows on the bus.
    const auto latency = [this](double ns) { return uint64_t(std::max(1.0, std::floor(ns * per_ns_) - 2)); };
    read_latency_ = latency(c.read_latency_ns);
    write_latency_ = latency(c.write_latency_ns);
    spacing_[kRead] = c.read_spacing_ns * per_ns_;
    spacing_[kWrite] = c.write_spacing_ns * per_ns_;
    row_miss_ = c.row_miss_ns * per_ns_;
    refresh_every_ = c.refresh_interval_ns * per_ns_;
    refresh_for_ = c.refresh_ns * per_ns_;
    next_refresh_ = refresh_every_;
    split_beats_ = std::max(1u, c.split_bytes / c.beat_bytes);
    fifo_beats_ = std::max(split_beats_, c.fifo_bytes / c.beat_bytes);
    std::fill(std::begin(open_row_), std::end(open_row_), ~uint64_t(0));
    for (unsigned i = 0; i < c.ports; i++) port[i].init(this, i);
    classify();
}

Dram::~Dram() { munmap(memory, config.dram_bytes); }

void Dram::clear() {
    for (unsigned i = 0; i < config.ports; i++) port[i].clear();
    stall[kRead] = stall[kWrite] = false;
    std::fill(std::begin(gaps), std::end(gaps), 0);
}

bool Dram::gap(Channel channel) {
    if (gaps[channel] == 0) return false;
    gap_state = gap_state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
    return (gap_state >> 48) < gaps[channel];
}

void Dram::breach(unsigned index, const char* rule, uint64_t addr) {
    if (!error.empty()) return;
    char text[160];
    std::snprintf(text, sizeof text, "port %u, cycle %llu: %s (address 0x%llx)", index, (unsigned long long)now, rule,
                  (unsigned long long)addr);
    error = text;
}

uint8_t Dram::response(Direction direction, uint64_t addr) const {
    if (addr + config.beat_bytes > config.dram_bytes) return kDecodeError;
    for (const Fault& fault : faults)
        if (fault.direction == direction && fault.addr - addr < config.beat_bytes) return fault.resp;
    return 0;
}

unsigned Dram::active_class(bool reads, bool writes) const {
    unsigned count = 0, wired = 0;
    for (unsigned i = 0; i < config.ports; i++) {
        if ((reads && port[i].side_[kRead].seen) || (writes && port[i].side_[kWrite].seen)) {
            count++;
            wired |= 1u << config.hp[i];
        }
    }
    const bool pair = (wired & 6u) == 6u;  // HP1 and HP2 share one port of the DRAM controller
    return count <= 1 ? 0 : count == 2 ? (pair ? 2 : 1) : count == 3 ? (pair ? 4 : 3) : 5;
}

unsigned Dram::size_column(Direction direction) const {
    uint32_t bytes = 0, count = 0;
    for (unsigned i = 0; i < config.ports; i++) {
        const Port::Side& side = port[i].side_[unsigned(direction)];
        if (side.seen) bytes += side.request_bytes, count++;
    }
    return count ? column_of(double(bytes) / count) : 0;
}

void Dram::classify() {
    bool any[2] = {false, false};
    for (unsigned i = 0; i < config.ports; i++) {
        for (unsigned d = 0; d < 2; d++) {
            Port::Side& side = port[i].side_[d];
            if (!side.commands.empty()) side.last_seen = now + 1;
            side.seen = side.last_seen && now < side.last_seen + kLinger;
            any[d] |= side.seen;
        }
    }
    const auto set = [](Bucket& bucket, double rate, double least) {
        bucket.rate = rate > 0 ? rate : kUnlimited;
        bucket.cap = std::max(least, 4 * bucket.rate);
    };
    const double per_cycle = 1e3 / config.clock_mhz;
    for (unsigned d = 0; d < 2; d++) {
        const unsigned set_of_ports = active_class(d == kRead, d == kWrite);
        const double requests = (d == kRead ? config.read_requests : config.write_requests)[set_of_ports];
        const Table& table = d == kRead ? config.read_ceiling : config.write_ceiling;
        set(requests_[d], requests / config.clock_mhz, 4);
        set(bytes_[d], table[set_of_ports][size_column(Direction(d))] * per_cycle, 2.0 * config.split_bytes);
    }
    mixed_ = any[kRead] && any[kWrite];
    if (mixed_) {
        const unsigned set_of_ports = active_class(true, true);
        const unsigned column = size_column(Direction::Read);
        mixed_rate_ = config.mixed_ceiling[set_of_ports][column] * per_cycle;
        if (mixed_rate_ <= 0) mixed_rate_ = kUnlimited;
        for (Bucket& bucket : bytes_) {
            bucket.cap = std::max(2.0 * config.split_bytes, 4 * mixed_rate_);
            bucket.tokens = std::min(bucket.tokens, bucket.cap);
        }
        share_ = config.write_share[set_of_ports][column];
    }
}

void Dram::refill() {
    for (unsigned d = 0; d < 2; d++) {
        Bucket& bucket = requests_[d];
        bucket.tokens = std::min(bucket.cap, bucket.tokens + bucket.rate);
    }
    Bucket& reads = bytes_[kRead];
    Bucket& writes = bytes_[kWrite];
    if (!mixed_) {
        reads.tokens = std::min(reads.cap, reads.tokens + reads.rate);
        writes.tokens = std::min(writes.cap, writes.tokens + writes.rate);
        return;
    }
    // What one direction leaves of its share goes to the other.
    reads.tokens += mixed_rate_ * (1 - share_);
    writes.tokens += mixed_rate_ * share_;
    const double spare_writes = std::max(0.0, writes.tokens - writes.cap);
    const double spare_reads = std::max(0.0, reads.tokens - reads.cap);
    reads.tokens = std::min(reads.cap, reads.tokens + spare_writes);
    writes.tokens = std::min(writes.cap, writes.tokens + spare_reads);
}

bool Dram::grant(Direction direction, uint32_t bytes) {
    Bucket& requests = requests_[unsigned(direction)];
    Bucket& budget = bytes_[unsigned(direction)];
    if (requests.tokens < 1 || budget.tokens <= 0) return false;
    requests.tokens -= 1;
    budget.tokens -= bytes;
    return true;
}

double Dram::row_penalty(Port& p, Direction direction, uint64_t addr) {
    const uint64_t row = addr >> kRowShift;
    uint64_t& open = open_row_[row % kBanks];
    // The controller opens the next row of a sequential stream ahead of time.
    const bool hit = open == row || addr == p.side_[unsigned(direction)].next_addr;
    open = row;
    if (hit) return 0;
    p.stats.row_misses++;
    return row_miss_;
}

void Dram::step() {
    now++;
    if (now % kWindow == 0) classify();
    refill();
    if (refresh_every_ > 0 && double(now) >= next_refresh_) {
        refresh_end_ = now + uint64_t(refresh_for_);
        next_refresh_ += refresh_every_;
    }
    const bool refreshing = now < refresh_end_;
    unsigned index = unsigned(now % config.ports);  // the port that is asked first changes every cycle
    for (unsigned n = 0; n < config.ports; n++) {
        Port& p = port[index];
        index = index + 1 == config.ports ? 0 : index + 1;
        while (!p.read_slots_.empty() && p.read_slots_.front() <= now) p.read_slots_.pop();
        if (!stall[kWrite]) p.finish_writes();
        if (!refreshing) {
            Port::Side& reads = p.side_[kRead];
            if (!stall[kRead] && !reads.commands.empty() && reads.next_issue <= double(now) &&
                p.read_slots_.size() < config.in_flight)
                p.issue_read();
            Port::Side& writes = p.side_[kWrite];
            if (!stall[kWrite] && !writes.commands.empty() && writes.next_issue <= double(now) &&
                p.commits_.size() < config.in_flight)
                p.issue_write();
        }
        p.step_outputs();
    }
}

}  // namespace eft
