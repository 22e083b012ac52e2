-- What people said in their own words, well or ill, and of what, by the words they used: a word
-- beside one that turns it about (not, without) means the opposite. A customer is heard in their
-- own language, or, where no word of it is there, in the one that most words are of.
with texts as (
    select
        interactions.interaction_id,
        interactions.customer_id,
        interactions.prospect_id,
        interactions.kind,
        interactions.occurred_at,
        interactions.topic,
        interactions.body,
        left(lower(coalesce(profiles.language, prospects.language)), 2) as language
    from {{ ref("int_interactions") }} as interactions
    left join {{ ref("int_profiles") }} as profiles
        on interactions.customer_id = profiles.customer_id
    left join {{ ref("stg_shop__prospects") }} as prospects
        on interactions.prospect_id = prospects.prospect_id
    where interactions.body is not null and interactions.kind <> 'contact'
),

words as (
    {{ words_of("texts") }}
),

phrases as (
    select
        interaction_id,
        language,
        place,
        word as phrase,
        1 as words
    from words
    union all
    select
        words.interaction_id,
        words.language,
        words.place,
        concat(words.word, ' ', following.word) as phrase,
        2 as words
    from words
    inner join words as following
        on words.interaction_id = following.interaction_id and words.place + 1 = following.place
),

stems as (
    select
        language,
        {{ plain_text("stem") }} as stem,
        case when stem like '% %' then 2 else 1 end as words,
        is_whole,
        weight,
        topic
    from {{ ref("opinion_words") }}
),

-- Each phrase is looked up once, however often it was said; of two stems the longer knows better.
spoken as (
    select distinct
        phrase,
        words
    from phrases
),

meanings as (
    select
        spoken.phrase,
        stems.language,
        stems.weight,
        stems.topic,
        row_number() over (
            partition by spoken.phrase, stems.language order by length(stems.stem) desc
        ) as place
    from spoken
    inner join stems
        on
            spoken.words = stems.words
            and left(spoken.phrase, length(stems.stem)) = stems.stem
            and (not stems.is_whole or length(spoken.phrase) = length(stems.stem))
),

said as (
    select
        phrases.interaction_id,
        phrases.place,
        meanings.language,
        meanings.weight,
        meanings.topic,
        case when phrases.language = meanings.language then 1 else 0 end as is_own
    from phrases
    inner join meanings on phrases.phrase = meanings.phrase
    where meanings.place = 1
),

heard_in as (
    select
        interaction_id,
        language,
        row_number() over (
            partition by interaction_id
            order by max(is_own) desc, count(*) desc, language asc
        ) as place
    from said
    group by interaction_id, language
),

heard as (
    select said.*
    from said
    inner join heard_in
        on said.interaction_id = heard_in.interaction_id and said.language = heard_in.language
    where heard_in.place = 1
),

weighty as (
    select distinct
        interaction_id,
        place
    from heard
    where weight is not null
),

turns as (
    -- How many words turn each word about: up to two before it, in Persian behind it.
    select
        weighty.interaction_id,
        weighty.place,
        count(*) as turns
    from weighty
    inner join heard as turning on weighty.interaction_id = turning.interaction_id
    where
        turning.weight is null
        and case
            when turning.language = 'fa' then turning.place - weighty.place
            else weighty.place - turning.place
        end between 1 and 2
    group by weighty.interaction_id, weighty.place
),

weighed as (
    select distinct
        heard.interaction_id,
        heard.place,
        heard.topic,
        heard.weight * case when coalesce(turns.turns, 0) % 2 = 1 then -1 else 1 end as weight
    from heard
    left join turns on heard.interaction_id = turns.interaction_id and heard.place = turns.place
    where heard.weight is not null
),

scores as (
    select
        interaction_id,
        cast(sum(weight) as integer) as score
    from weighed
    group by interaction_id
),

topics as (
    select
        interaction_id,
        topic,
        row_number() over (
            partition by interaction_id order by count(*) desc, min(place) asc
        ) as place
    from weighed
    where topic is not null
    group by interaction_id, topic
)

select
    texts.interaction_id,
    texts.customer_id,
    texts.kind,
    texts.occurred_at,
    texts.language,
    coalesce(topics.topic, texts.topic) as topic,
    coalesce(scores.score, 0) as score,
    case
        when scores.score > 0 then 'positive'
        when scores.score < 0 then 'negative'
        else 'neutral'
    end as sentiment
from texts
left join scores on texts.interaction_id = scores.interaction_id
left join topics on texts.interaction_id = topics.interaction_id and topics.place = 1
