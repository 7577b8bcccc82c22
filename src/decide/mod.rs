//! Pure decisions: a candidate and the facts about it end in exactly one named state.
