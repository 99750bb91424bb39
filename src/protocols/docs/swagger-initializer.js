// Starts the viewer of the API description. Once a token is given ("Authorize"), the description is loaded again with
// it: it then has the models that the token may read.
window.onload = () => {
  const settings = {"url": "../openapi.json"};
  let token;

  const load = (given) => {
    token = given;
    window.ui.specActions.download(settings.url);
  };

  const withToken = () => ({
    statePlugins: {
      auth: {
        wrapActions: {
          authorize: (original) => (payload) => {
            const done = original(payload);
            const bearer = payload.bearer && payload.bearer.value;
            if (bearer) load(bearer);
            return done;
          },
          authorizeOauth2: (original) => (payload) => {
            const done = original(payload);
            if (payload.token && payload.token.access_token) load(payload.token.access_token);
            return done;
          },
          logout: (original) => (payload) => {
            const done = original(payload);
            load(undefined);
            return done;
          },
        },
      },
    },
  });

  window.ui = SwaggerUIBundle({
    ...settings,
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: "none",
    persistAuthorization: false,
    layout: "StandaloneLayout",
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    plugins: [SwaggerUIBundle.plugins.DownloadUrl, withToken],
    requestInterceptor: (request) => {
      if (request.loadSpec && token) request.headers.Authorization = `Bearer ${token}`;
      return request;
    },
    responseInterceptor: (response) => {
      // A token that has expired, or is of another issuer, leaves the description of any model.
      const isDescription = new URL(response.url).pathname.endsWith("/openapi.json");
      if (isDescription && response.status === 401 && token) load(undefined);
      return response;
    },
  });
};
