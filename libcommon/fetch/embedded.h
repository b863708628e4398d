/* embedded.h: files of data/ that the build puts into the library, each with a zero byte after its end. */
#ifndef GP_FETCH_EMBEDDED_H
#define GP_FETCH_EMBEDDED_H

extern const unsigned char gp_stories_grammar[]; /* data/stories.grammar */
extern const unsigned char gp_reviews_grammar[]; /* data/reviews.grammar */
extern const unsigned char gp_catalog_json[];    /* data/catalog.json */

#endif
