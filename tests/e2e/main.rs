//! End to end, through the built binary: real SDK calls against the emulator, real CloudTrail envelopes in a real SQS
//! queue, a real store, a real socket. Each test has an AWS account of its own on the shared emulator.
mod big_story;
mod budget;
mod by_hand;
mod compute;
mod copies;
mod crash;
mod detect;
mod elsewhere;
mod errors;
mod network;
mod preflight;
mod recreate;
mod site;
mod story;
mod trail;
