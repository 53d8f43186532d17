// Records words that change seldom: only the cycles in which one differs from the cycle before are kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace eft {

class Recorder {
public:
    explicit Recorder(size_t channels) : channels_(channels) {}

    // Forgets what was recorded; the first word of every channel from here on is kept in any case.
    void start() {
        on_ = true;
        for (Channel& channel : channels_) channel = Channel{};
    }
    void stop() { on_ = false; }
    bool on() const { return on_; }

    void sample(size_t index, uint64_t cycle, uint32_t word) {
        Channel& channel = channels_[index];
        if (!channel.words.empty() && channel.words.back() == word) return;
        channel.cycles.push_back(cycle);
        channel.words.push_back(word);
    }

    struct Channel {
        std::vector<uint64_t> cycles;
        std::vector<uint32_t> words;
    };
    const Channel& channel(size_t index) const { return channels_[index]; }

private:
    bool on_ = false;
    std::vector<Channel> channels_;
};

}  // namespace eft
