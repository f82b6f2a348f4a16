//! The coordinator's replicated state: brokers, topics, partitions, configs.
