-- name: fallen
-- DuckDB. Beyond chance, this month or last: earlier ones are history.
select month, score, low, high, answers, change
from net_promoter_scores
where has_fallen and month >= date_trunc('month', $today::date) - interval 1 month
order by month
