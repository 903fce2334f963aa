-- The derived store of one run: what the page sorts, filters and searches by. Everything here is computed from the log
-- and may be deleted at any time. `position` is a target's place among the registered ones; -1 is the run itself.
create table meta (key text primary key, value);
create table segments (stem text primary key, line integer not null, offset integer not null, head text not null, changed integer not null);
create table targets (
    position integer primary key, target text not null, side text not null, layer integer not null,
    site text not null, kind text not null, status text not null default 'pending', verdict text,
    p real, r real, low real, high real, "select" real, "drop" real, trivial real, token_lookup real, shuffled real,
    list real, rotated real, headline_r real, meaning_r real, tier text, bits real, artefact text,
    usd real default 0, calls integer not null default 0, input_tokens integer not null default 0,
    output_tokens integer not null default 0, cached_tokens integer not null default 0, seconds real, hypothesis text,
    review text
);
create unique index targets_by_address on targets (target);
create table texts (
    position integer primary key, explanation text, predicate text, headline text, meaning text, residue text,
    reason text, error text
);
create table scores (
    position integer, hypothesis text, scorer text, split text, value real, low real, high real, trivial real,
    token_lookup real, shuffled real, list real, rotated real, primary key (position, hypothesis, scorer, split)
) without rowid;
create table places (position integer, stem text, talk integer, packed blob);
create index places_by_position on places (position);
create table talk (
    number integer primary key, position integer, id text, stem text, line integer, offset integer, turns integer, defines text,
    usd real, input_tokens integer, output_tokens integer, cached_tokens integer, explaining integer,
    unique (position, id)
);
create table contexts (id integer primary key, text text not null);
create table exemplars (context integer, position integer, side text, rank integer, primary key (context, position, side))
    without rowid;
create virtual table explanations_text using fts5 (explanation, tokenize = "unicode61 remove_diacritics 2");
create virtual table contexts_text using fts5 (text, content = 'contexts', content_rowid = 'id',
    tokenize = "unicode61 remove_diacritics 2");
create virtual table talk_text using fts5 (text, content = '', tokenize = "unicode61 remove_diacritics 2");
