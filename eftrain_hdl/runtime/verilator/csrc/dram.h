// DRAM behind the PS-PL ports of a Zynq, one AXI4 subordinate for each port, stepped once per accelerator clock cycle.
//
// What is modelled, in the order that a burst meets it:
//  - a command queue for each port and direction; bursts are split into requests of at most `split_bytes`;
//  - at most `in_flight` requests and `fifo_bytes` of data for each port and direction;
//  - the least time between two requests of a port, longer where a request misses the open DRAM row;
//  - token buckets shared by all ports: requests per second and bytes per second, by direction. Their rates depend on
//    which ports are active and on the burst length, because the measured ceilings do. While both directions are active
//    one ceiling holds for the sum and `write_share` is what writes get of it when both sides want everything;
//  - a fixed latency, then data or the write response in order; optional refresh pauses.
// Reads sample memory when their request is issued, writes reach it when their response is due: a manager that reads what
// it wrote before the response sees old data, so a missing dependency shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace eft {

constexpr unsigned kMaxPorts = 4;
constexpr unsigned kMaxBeat = 32;
// One port; two; HP1 with HP2; three; three with both HP1 and HP2; four.
constexpr unsigned kClasses = 6;
// Mean request size: up to 64 bytes, 128, 192, more.
constexpr unsigned kSizes = 4;

using Table = double[kClasses][kSizes];

// Mirrored by _Config in memory.py. A rate of 0 is unlimited.
struct Config {
    uint64_t dram_bytes;
    double clock_mhz;
    double read_latency_ns;
    double write_latency_ns;
    double read_spacing_ns;
    double write_spacing_ns;
    double row_miss_ns;
    double refresh_interval_ns;
    double refresh_ns;
    double read_requests[kClasses];   // million per second
    double write_requests[kClasses];  // million per second
    Table read_ceiling;               // GB/s
    Table write_ceiling;              // GB/s
    Table mixed_ceiling;              // GB/s, reads plus writes
    Table write_share;                // 0..1
    uint32_t ports;
    uint32_t beat_bytes;
    uint32_t in_flight;
    uint32_t split_bytes;
    uint32_t fifo_bytes;
    uint32_t hp[kMaxPorts];           // which HP port each port is wired to
};

// Mirrored by _PortStats in memory.py.
struct PortStats {
    uint64_t read_bytes, write_bytes, read_bursts, write_bursts, read_requests, write_requests, row_misses;
    uint64_t ar_stalls, aw_stalls, w_stalls, r_stalls;
};

enum class Direction { Read, Write };

// What a channel's handshake may be held back on: ready of the first three, valid of the others.
enum Channel { kAr, kAw, kW, kR, kB, kChannels };

// A fixed-capacity queue: nothing is allocated while the clock runs.
template <typename T>
class Ring {
public:
    void reserve(size_t capacity) {
        size_t size = 1;
        while (size < capacity) size *= 2;
        items_.resize(size);
        mask_ = size - 1;
        clear();
    }
    void clear() { head_ = tail_ = 0; }
    bool empty() const { return head_ == tail_; }
    size_t size() const { return tail_ - head_; }
    T& push() { return items_[tail_++ & mask_]; }
    T& front() { return items_[head_ & mask_]; }
    T& at(size_t index) { return items_[(head_ + index) & mask_]; }
    void pop(size_t count = 1) { head_ += count; }

private:
    std::vector<T> items_;
    size_t mask_ = 0, head_ = 0, tail_ = 0;
};

class Dram;

struct Address {
    uint64_t addr;
    uint8_t len, size, burst, id;
    bool operator==(const Address& o) const {
        return addr == o.addr && len == o.len && size == o.size && burst == o.burst && id == o.id;
    }
};

// One AXI4 port. Before a clock edge the harness drives the public outputs, then reports what the manager shows; after all
// ports it calls Dram::step().
class Port {
public:
    bool ar_ready = false, aw_ready = false, w_ready = false;
    bool r_valid = false, r_last = false, b_valid = false;
    uint8_t r_resp = 0, r_id = 0, b_resp = 0, b_id = 0;
    const uint8_t* r_data = nullptr;
    PortStats stats{};

    // Valid was high without ready: on_ar or on_aw must be called at the next edge whatever the manager shows.
    bool ar_watched() const { return side_[0].stalled; }
    bool aw_watched() const { return side_[1].stalled; }
    void on_ar(bool valid, const Address& now) { on_address(Direction::Read, valid, now); }
    void on_aw(bool valid, const Address& now) { on_address(Direction::Write, valid, now); }
    void on_w(bool valid, const void* data, uint32_t strobe, bool last);
    void on_r(bool ready) {
        if (r_valid) ready ? take_read_beat() : void(stats.r_stalls++);
    }
    void on_b(bool ready) {
        if (b_valid && ready) b_valid = false;
    }

private:
    friend class Dram;
    struct Command { uint64_t addr; uint32_t left; uint32_t moved; uint8_t id, resp; };
    struct ReadBeat { uint64_t due; uint8_t resp, id; bool last; uint8_t data[kMaxBeat]; };
    struct WriteBeat { uint32_t strobe; bool last; uint8_t data[kMaxBeat]; };
    struct Commit { uint64_t due, addr; uint32_t beats; bool final; uint8_t id, resp; };
    struct Answer { uint8_t id, resp; };

    // What both directions keep.
    struct Side {
        Ring<Command> commands;
        bool stalled = false;       // valid was shown without ready
        Address shown{};
        double next_issue = 0;
        uint64_t next_addr = 0;     // where a sequential stream goes on
        uint64_t last_seen = 0;
        bool seen = false;
        uint32_t request_bytes = 0; // size of the latest burst's requests
    };

    void init(Dram* dram, unsigned index);
    void clear();
    void on_address(Direction direction, bool valid, const Address& now);
    void accept(Direction direction, const Address& now);
    void take_read_beat();
    void issue_read();
    void issue_write();
    void finish_writes();
    void step_outputs();

    Dram* dram_ = nullptr;
    unsigned index_ = 0;
    Side side_[2];
    Ring<uint64_t> read_slots_;     // due times of requests whose data has not come from the DRAM
    Ring<ReadBeat> read_beats_;
    Ring<WriteBeat> write_beats_;   // accepted; the first `claimed_` belong to issued requests
    uint32_t claimed_ = 0;
    Ring<Commit> commits_;
    Ring<Answer> answers_;
    bool w_stalled_ = false;
    WriteBeat w_shown_{};
};

class Dram {
public:
    explicit Dram(const Config& config);
    ~Dram();
    Dram(const Dram&) = delete;
    Dram& operator=(const Dram&) = delete;

    void clear();  // forgets queues, stalls and gaps, keeps the memory and the statistics
    void step();

    Port port[kMaxPorts];
    Config config;
    uint8_t* memory = nullptr;
    uint64_t now = 0;
    std::string error;  // first breach of the AXI protocol
    bool stall[2] = {false, false};
    // Each cycle each channel of each port is held back with this chance, in parts of 2**16; the seed determines when.
    uint32_t gaps[kChannels] = {};
    uint64_t gap_state = 0;
    struct Fault { uint64_t addr; Direction direction; uint8_t resp; };
    std::vector<Fault> faults;

private:
    friend class Port;
    struct Bucket { double tokens = 0, rate = 0, cap = 0; };

    void breach(unsigned port, const char* rule, uint64_t addr);
    void classify();
    void refill();
    unsigned active_class(bool reads, bool writes) const;
    unsigned size_column(Direction direction) const;
    bool grant(Direction direction, uint32_t bytes);
    bool gap(Channel channel);
    double row_penalty(Port& port, Direction direction, uint64_t addr);
    uint8_t response(Direction direction, uint64_t addr) const;
    bool is_clean(uint64_t addr, uint32_t bytes) const { return faults.empty() && addr + bytes <= config.dram_bytes; }

    double per_ns_;                 // cycles in a nanosecond
    uint64_t read_latency_, write_latency_;
    double spacing_[2], row_miss_;
    double refresh_every_, refresh_for_, next_refresh_;
    uint64_t refresh_end_ = 0;
    uint32_t split_beats_, fifo_beats_;
    Bucket bytes_[2], requests_[2];
    bool mixed_ = false;
    double mixed_rate_ = 0, share_ = 0;
    uint64_t open_row_[16];
};

}  // namespace eft
