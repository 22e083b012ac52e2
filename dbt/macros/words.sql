{# The words of a relation's `body`, numbered, one row each, with its `interaction_id` and `language`. #}
{% macro words_of(relation) %}
    {{ return(adapter.dispatch("words_of", "tessera")(relation)) }}
{% endmacro %}

{% macro duckdb__words_of(relation) %}
    select
        interaction_id,
        language,
        unnest(words) as word,
        generate_subscripts(words, 1) as place
    from (
        select
            interaction_id,
            language,
            regexp_extract_all({{ plain_text("body") }}, '\p{L}+') as words
        from {{ relation }}
    )
{% endmacro %}

{% macro spark__words_of(relation) %}
    select
        interaction_id,
        language,
        found.word,
        found.pos + 1 as place
    from {{ relation }}
    lateral view posexplode(regexp_extract_all({{ plain_text("body") }}, '(\\p{L}+)', 1)) found as pos, word
{% endmacro %}

{# In small letters without accents, and with one letter for both ways to write it in Persian. #}
{% macro plain_text(text) -%}
    {{ return(adapter.dispatch("plain_text", "tessera")(text)) }}
{%- endmacro %}

{% macro duckdb__plain_text(text) -%} translate(strip_accents(lower({{ text }})), 'يكؤأς', 'یکواσ') {%- endmacro %}
{% macro spark__plain_text(text) -%}
    translate(lower({{ text }}), 'άέήίόύώϊϋёйāčēģīķļņšūžäöüيكؤأς', 'αεηιουωιυеиacegiklnsuzaouیکواσ')
{%- endmacro %}
